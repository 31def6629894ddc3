// SPDX-License-Identifier: Apache-2.0
// lib/bpf/tcx.hpp: a program on a TCX hook of an interface (Linux 6.6 and newer). Not bound to a thread, not thread-safe.
#pragma once

#include <cstdint>
#include <string>
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

    /// Keeps the program attached, also without this object, until the file at `path`, on a bpffs, is removed. Replaces
    /// what was pinned there.
    Result<void> pin(const std::string& path);

  private:
    explicit TcxLink(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace flowd::bpf
