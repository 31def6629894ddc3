// SPDX-License-Identifier: Apache-2.0
// Detects lost datagrams by their numbers. Belongs to one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "flowd/address.hpp"
#include "lib/firefly/flowd_member.hpp"

namespace flowd::fireflyp {

/// Keeps at most 4096 streams and the counts of 256 senders: a new stream replaces the least recently used one of its set,
/// and further senders are counted together. The address of the sender is part of a stream's identity, so that forged
/// numbers do not affect the counts of other senders.
class Streams {
  public:
    static constexpr std::size_t most_senders = 256;

    void note(const Address& sender, const firefly::FlowdMember& member);
    /// Call it once a second: a datagram that was missing at the last call and has not arrived since is lost.
    void settle();

    /// Lost datagrams by sender.
    [[nodiscard]] const std::map<Address, std::uint64_t>& lost() const { return lost_; }
    /// Lost datagrams of senders that lost() has no room for.
    [[nodiscard]] std::uint64_t lost_of_others() const { return lost_of_others_; }
    [[nodiscard]] std::uint64_t total() const { return total_; }

  private:
    struct Stream {
        Address sender;
        std::uint64_t boot = 0, stream = 0;
        std::uint64_t highest = 0;               ///< seq; 0: unused
        std::uint64_t settled = 0;               ///< `highest` at the last settle()
        std::uint64_t came = ~std::uint64_t{0};  ///< bit i: highest - i has arrived, or was counted as lost
        std::uint64_t used = 0;                  ///< turn_ at the last datagram
    };
    using Set = std::array<Stream, 4>;

    [[nodiscard]] Stream& of(const Address& sender, const firefly::FlowdMember& member);
    void advance(Stream& stream, std::uint64_t seq);
    void count(const Address& sender, std::uint64_t datagrams);

    std::vector<Set> sets_;  ///< allocated with the first datagram
    std::map<Address, std::uint64_t> lost_;
    std::uint64_t lost_of_others_ = 0;
    std::uint64_t total_ = 0;
    std::uint64_t turn_ = 0;
};

}  // namespace flowd::fireflyp
