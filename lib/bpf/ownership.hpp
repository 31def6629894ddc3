// SPDX-License-Identifier: Apache-2.0
// lib/bpf/ownership.hpp: distinguishes the tc filters of live instances from those that killed ones left.
// Not bound to a thread, not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::bpf {

/// A handle for the filters of one instance. While this exists, one byte of a file is locked, whose offset is in the
/// handle. The kernel releases the lock when the process ends in any way. Only root and the daemon's user can open the
/// file.
class Ownership {
  public:
    [[nodiscard]] static Result<Ownership> claim(const std::string& file = default_file);
    /// Whether some instance owns the filters of that handle now.
    [[nodiscard]] static bool is_alive(std::uint32_t handle, const std::string& file = default_file);

    /// `made_qdisc`: flowd-cpp created the qdisc of the filter. The handle of the filter records this, because the filter
    /// outlives the daemon.
    [[nodiscard]] std::uint32_t handle(bool made_qdisc) const { return (made_qdisc ? with_qdisc : without_qdisc) | byte_; }
    /// What the handle of one of our filters records about the qdisc.
    [[nodiscard]] static bool made_qdisc(std::uint32_t handle) { return (handle & ~byte_mask) == with_qdisc; }

    /// Takes an exclusive lock on the clsact qdiscs of this host, which is held until the descriptor is closed. An instance
    /// reads, adds and removes a qdisc and its filters only with the lock: a qdisc that has no filter yet would otherwise
    /// be taken for that of another program. Blocks while another instance has the lock, at most for `patience`; then
    /// FLOWD_BUSY, usually because that instance is suspended.
    [[nodiscard]] static Result<UniqueFd> lock_qdiscs(std::chrono::milliseconds patience = qdisc_patience,
                                                      const std::string& file = default_file);

    static constexpr const char* default_file = "/run/flowd-cpp/hooks";
    /// Instances have the lock for milliseconds. Shorter than the default of stopTimeout: a stop waits, too.
    static constexpr std::chrono::milliseconds qdisc_patience{3000};

    /// The byte that lock_qdiscs() locks; those before it are for handles.
    static constexpr std::uint32_t qdisc_byte = 0x01000000;

  private:
    // Low handles are chosen by administrators and other programs; the highest bit is not used because tools print it
    // signed.
    static constexpr std::uint32_t without_qdisc = 0x2f000000;
    static constexpr std::uint32_t with_qdisc = 0x6f000000;
    static constexpr std::uint32_t byte_mask = qdisc_byte - 1;

    Ownership(std::uint32_t byte, UniqueFd file) : byte_(byte), file_(std::move(file)) {}
    std::uint32_t byte_;
    UniqueFd file_;
};

}  // namespace flowd::bpf
