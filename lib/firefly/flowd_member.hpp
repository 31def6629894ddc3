// SPDX-License-Identifier: Apache-2.0
// lib/firefly/flowd_member.hpp: the top-level member `flowd`, by which daemons number what they send and recognise what
// comes back. docs/firefly.md has its meaning.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flowd::firefly {

inline constexpr std::string_view flowd_member_name = "flowd";

/// What was received with this many hops is not sent on.
inline constexpr std::uint32_t max_hops = 4;

/// Where the news in a firefly comes from. Known for every firefly that this daemon sends.
struct Path {
    std::uint64_t origin = 0;  ///< `boot` of the daemon that printed it first
    std::uint32_t hops = 0;    ///< how many daemons have printed it again since

    friend bool operator==(const Path&, const Path&) = default;
};

/// {"boot":"0123456789abcdef","stream":1,"seq":1,"origin":"0123456789abcdef","hops":0}. The numbers are below 2^53, which
/// every JSON reader keeps exactly; the ids of 64 bits are therefore text.
struct FlowdMember {
    std::uint64_t boot = 0;    ///< one run of one daemon
    std::uint64_t stream = 0;  ///< one target of that daemon
    std::uint64_t seq = 0;     ///< counts the datagrams of the stream, from 1
    Path path;

    friend bool operator==(const FlowdMember&, const FlowdMember&) = default;
};

/// Above every stream and seq.
inline constexpr std::uint64_t number_limit = std::uint64_t{1} << 53;

/// Identifies this run of this process: the same in all of its modules, another after a restart.
[[nodiscard]] std::uint64_t this_boot();

/// The datagrams that go to one target, numbered. Belongs to one thread.
class Stream {
  public:
    /// Begins a stream with a random number, so that no two of a daemon are the same.
    explicit Stream(std::uint64_t boot);

    /// Appends the printed firefly, numbered, to `out`. The member is left out, and no number is used, where the datagram
    /// would become longer than `max_size`. True: it is in.
    bool number(std::string& out, std::string_view printed, const Path& path, std::size_t max_size);

  private:
    std::uint64_t boot_;
    std::uint64_t stream_;
    std::uint64_t seq_ = 0;
};

}  // namespace flowd::firefly
