// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/streams.hpp"

#include <algorithm>
#include <bit>

#include "lib/net/address_hash.hpp"

namespace flowd::fireflyp {
namespace {

constexpr std::size_t set_count = 1024;
constexpr std::uint64_t window = 64;
constexpr std::uint64_t all_came = ~std::uint64_t{0};

/// A larger step is not counted as loss: the sender numbers in another way.
constexpr std::uint64_t longest_step = 1u << 20;

}  // namespace

Streams::Stream& Streams::of(const Address& sender, const firefly::FlowdMember& member) {
    if (sets_.empty()) sets_.resize(set_count);
    const std::uint64_t hash = (net::hash_of(sender) ^ member.boot ^ member.stream) * 0x9e3779b97f4a7c15u;
    Set& set = sets_[(hash >> 32) % sets_.size()];
    for (Stream& stream : set)
        if (stream.highest != 0 && stream.boot == member.boot && stream.stream == member.stream && stream.sender == sender)
            return stream;
    Stream& oldest =
        *std::min_element(set.begin(), set.end(), [](const auto& a, const auto& b) { return a.used < b.used; });
    if (lost_.size() < most_senders) lost_.try_emplace(sender, 0);
    return oldest = {sender, member.boot, member.stream, member.seq, member.seq, all_came, 0};
}

void Streams::note(const Address& sender, const firefly::FlowdMember& member) {
    Stream& stream = of(sender, member);
    stream.used = ++turn_;
    if (member.seq > stream.highest)
        advance(stream, member.seq);
    else if (stream.highest - member.seq < window)
        stream.came |= std::uint64_t{1} << (stream.highest - member.seq);
}

void Streams::advance(Stream& stream, std::uint64_t seq) {
    const std::uint64_t step = seq - stream.highest;
    stream.highest = seq;
    if (step > longest_step) {
        stream.came = all_came;
        return;
    }
    std::uint64_t lost = 0;
    if (step < window) {
        lost = static_cast<std::uint64_t>(std::popcount(~stream.came >> (window - step)));
        stream.came = stream.came << step | 1u;
    } else {
        lost = static_cast<std::uint64_t>(std::popcount(~stream.came)) + step - window;
        stream.came = 1;
    }
    count(stream.sender, lost);
}

void Streams::settle() {
    for (Set& set : sets_)
        for (Stream& stream : set) {
            const std::uint64_t newer = stream.highest - stream.settled;  // may still arrive
            const std::uint64_t old = newer >= window ? 0 : all_came << newer;
            count(stream.sender, static_cast<std::uint64_t>(std::popcount(~stream.came & old)));
            stream.came |= old;
            stream.settled = stream.highest;
        }
}

void Streams::count(const Address& sender, std::uint64_t datagrams) {
    if (datagrams == 0) return;
    total_ += datagrams;
    const auto known = lost_.find(sender);
    (known != lost_.end() ? known->second : lost_of_others_) += datagrams;
}

}  // namespace flowd::fireflyp
