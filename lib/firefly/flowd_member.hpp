// SPDX-License-Identifier: Apache-2.0
// lib/firefly/flowd_member.hpp: the top-level member `flowd`, which numbers fireflies and detects loops. docs/firefly.md
// describes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flowd::firefly {

inline constexpr std::string_view flowd_member_name = "flowd";

/// A firefly that was received with this many hops is not sent again.
inline constexpr std::uint32_t max_hops = 4;

/// The origin of the information in a firefly.
struct Path {
    std::uint64_t origin = 0;  ///< `boot` of the daemon that printed it first
    std::uint32_t hops = 0;    ///< how many daemons have printed it since

    friend bool operator==(const Path&, const Path&) = default;
};

/// {"boot":"0123456789abcdef","stream":1,"seq":1,"origin":"0123456789abcdef","hops":0}. Numbers are below 2^53, which every
/// JSON reader represents exactly; ids of 64 bits are text.
struct FlowdMember {
    std::uint64_t boot = 0;    ///< identifies one run of a daemon
    std::uint64_t stream = 0;  ///< identifies a target of that daemon
    std::uint64_t seq = 0;     ///< counts the datagrams of the stream, from 1
    Path path;

    friend bool operator==(const FlowdMember&, const FlowdMember&) = default;
};

/// Upper bound of stream and seq.
inline constexpr std::uint64_t number_limit = std::uint64_t{1} << 53;

/// Identifies this run of this process: the same in all modules, different after a restart.
[[nodiscard]] std::uint64_t this_boot();

/// Numbers the datagrams to one target. Belongs to one thread.
class Stream {
  public:
    /// A stream with a random id, so that those of a daemon differ.
    explicit Stream(std::uint64_t boot);

    /// Appends the printed firefly with the member to `out`. The member is omitted, and no number is used, if the datagram
    /// would become longer than `max_size`. True: it was appended.
    bool number(std::string& out, std::string_view printed, const Path& path, std::size_t max_size);

  private:
    std::uint64_t boot_;
    std::uint64_t stream_;
    std::uint64_t seq_ = 0;
};

}  // namespace flowd::firefly
