// SPDX-License-Identifier: Apache-2.0
// lib/bpf/ownership.hpp: tells a living instance's tc filters from those that a killed one left behind.
// Thread-aware, not thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::bpf {

/// A handle for one instance's filters. For as long as this lives, one byte of a file is locked, whose offset is in the
/// handle; the kernel releases the lock with the process, however that ends. Only root and the daemon's user can open the
/// file.
class Ownership {
  public:
    [[nodiscard]] static Result<Ownership> claim(const std::string& file = default_file);
    /// Whether some instance owns the filters of that handle now.
    [[nodiscard]] static bool is_alive(std::uint32_t handle, const std::string& file = default_file);

    /// `made_qdisc`: a daemon of ours has made the qdisc of the filter. The filter says so, because it outlives a daemon.
    [[nodiscard]] std::uint32_t handle(bool made_qdisc) const { return (made_qdisc ? with_qdisc : without_qdisc) | byte_; }
    /// What a handle of one of our filters says about the qdisc.
    [[nodiscard]] static bool made_qdisc(std::uint32_t handle) { return (handle & ~byte_mask) == with_qdisc; }

    static constexpr const char* default_file = "/run/flowd-cpp/hooks";

  private:
    // Low handles are what people and other programs choose; the highest bit is left alone because tools print it signed.
    static constexpr std::uint32_t without_qdisc = 0x2f000000;
    static constexpr std::uint32_t with_qdisc = 0x6f000000;
    static constexpr std::uint32_t byte_mask = 0x00ffffff;

    Ownership(std::uint32_t byte, UniqueFd file) : byte_(byte), file_(std::move(file)) {}
    std::uint32_t byte_;
    UniqueFd file_;
};

}  // namespace flowd::bpf
