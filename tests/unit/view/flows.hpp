// SPDX-License-Identifier: Apache-2.0
// Flows of the tests.
#pragma once

#include <cstdint>
#include <string>

#include "flowd/address.hpp"
#include "flowd/event.hpp"
#include "flowd/key.hpp"

namespace flowd::view::test {

/// Flow number `n`, which started in second `n`.
inline flowd_flow flow_of(std::uint16_t n, flowd_tag tag = {2, 3}) {
    flowd_flow flow{};
    flow.size = sizeof flow;
    flow.flow_id = n;
    flow.key = make_key({*Address::parse("2001:db8:1::1"), n}, {*Address::parse("2001:db8:2::2"), 1094}, 6);
    flow.tag = tag;
    flow.start_time_ns = flow.seen_time_ns = n * 1'000'000'000LL;
    return flow;
}

inline flowd_flow moved(flowd_flow flow, std::uint64_t sent, std::uint64_t received) {
    flow.usage.bytes_sent = sent;
    flow.usage.bytes_received = received;
    flow.usage.known = FLOWD_USAGE_BYTES;
    return flow;
}

}  // namespace flowd::view::test
