// SPDX-License-Identifier: Apache-2.0
// lib/bpf/tcx.hpp: a program on a TCX hook of an interface (Linux 6.6 and newer). Not bound to a thread, not thread-safe.
#pragma once

#include <cstdint>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"
#include "lib/bpf/direction.hpp"

namespace flowd::bpf {

/// The ids of the programs on a hook, in the order in which they run. Empty where the kernel has no TCX.
[[nodiscard]] Result<std::vector<std::uint32_t>> tcx_programs(int interface_index, Direction direction);

/// Runs the program before all others on the hook until it is destroyed; the kernel detaches it even if the process is
/// killed.
class TcxLink {
  public:
    /// FLOWD_UNSUPPORTED if an attempt shows that the kernel has no TCX.
    [[nodiscard]] static Result<TcxLink> attach(int program, int interface_index, Direction direction);

    /// Runs another program in its place.
    Result<void> replace(int program);

    /// Keeps the program attached, also without this object, until the file at `path`, on a bpffs, is removed. Replaces
    /// what was pinned there.
    Result<void> pin(const std::string& path);

  private:
    explicit TcxLink(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

/// Places on TCX hooks, taken while the programs for them are loaded. An attachment waits for a grace period of RCU, 8 to
/// 20 ms, with the lock of all interfaces held, so that attachments cannot run side by side; a replacement does not wait.
class TcxPlaces {
  public:
    TcxPlaces() = default;
    /// Attaches a program that does nothing, on a thread of its own. Places that are refused are left out: an attachment of
    /// the program itself tells why.
    TcxPlaces(std::vector<int> interface_indexes, std::vector<Direction> directions);

    /// The place is the caller's. Waits until all are taken. Nothing: it was refused.
    [[nodiscard]] std::optional<TcxLink> take(int interface_index, Direction direction);

  private:
    using Places = std::map<std::pair<int, Direction>, TcxLink>;
    std::future<Places> coming_;  // its destructor waits for the thread
    Places places_;
};

}  // namespace flowd::bpf
