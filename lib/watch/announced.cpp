// SPDX-License-Identifier: Apache-2.0
#include "lib/watch/announced.hpp"

#include <algorithm>

namespace flowd::watch {

Event start_of(const Announced& connection) {
    Event event = Event::start(connection.key, connection.tag);
    event->local = FLOWD_LOCAL_SOURCE;
    event->initiator = connection.initiator;
    event->time_ns = connection.start_ns;
    event->start_time_ns = connection.start_ns;
    return event;
}

Event end_of(const Announced& connection, const std::optional<flowd_usage>& usage, std::int64_t end_ns) {
    Event event = Event::end(connection.key, connection.tag);
    event->local = FLOWD_LOCAL_SOURCE;
    event->initiator = connection.initiator;
    event->time_ns = end_ns;
    event->start_time_ns = connection.start_ns;
    event->end_time_ns = std::max(end_ns, connection.start_ns);
    if (usage) {
        event->usage = *usage;
        event->usage.source = FLOWD_USAGE_KERNEL;
        event->usage.known = FLOWD_USAGE_BYTES | FLOWD_USAGE_PACKETS;
    }
    return event;
}

}  // namespace flowd::watch
