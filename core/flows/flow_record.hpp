// SPDX-License-Identifier: Apache-2.0
// core/flows/flow_record.hpp: a flow at one moment, as the history and the stream of events keep it. A value.
#pragma once

#include <cstdint>

#include "core/flows/flow_store.hpp"
#include "core/flows/flow_texts.hpp"
#include "core/flows/membership.hpp"
#include "flowd/abi/event.h"

namespace flowd::core {

struct FlowRecord {
    flowd_key key{};
    std::uint64_t id = 0;
    std::int64_t start_ns = 0;
    std::int64_t end_ns = 0;  ///< 0: live
    std::int64_t seen_ns = 0;
    std::uint64_t sender = 0;
    FlowTotals usage{};
    flowd_tag tag{};
    FlowTexts texts;
    std::uint32_t flags = 0;  ///< FLOWD_*
    std::uint32_t usage_source = 0;
    std::uint32_t announcers = 0;
    std::uint16_t announcer = 0;  ///< number of the name of the instance that gave the tag
    std::uint8_t precedence = 0;
    std::uint8_t end_reason = 0;
    std::uint8_t local = 0;
    std::uint8_t initiator = 0;
    std::uint8_t usage_known = 0;

    /// Its texts are those of this record.
    [[nodiscard]] flowd_flow view(const Membership& members) const {
        flowd_flow out{};
        out.size = sizeof out;
        out.flags = flags;
        out.flow_id = id;
        out.key = key;
        out.tag = tag;
        out.start_time_ns = start_ns;
        out.seen_time_ns = seen_ns;
        out.end_time_ns = end_ns;
        out.usage = {usage.bytes_sent,       usage.bytes_received, usage.packets_sent,
                     usage.packets_received, usage_source,         usage_known};
        out.local = local;
        out.initiator = initiator;
        out.announcers = announcers;
        out.precedence = precedence;
        out.end_reason = end_reason;
        out.sender = sender;
        out.announcer = to_c(members.name(announcer));
        texts.lend_to(out);
        return out;
    }
};

/// An element of the stream of events (flowd/abi/ext/events.h).
struct ObservedRecord {
    FlowRecord flow;
    std::int64_t time_ns = 0;
    flowd_tag former_tag{};
    std::uint32_t kind = 0;     ///< FLOWD_OBSERVED_*
    std::uint64_t refusal = 0;  ///< of a refusal: the number of its texts
};

}  // namespace flowd::core
