// SPDX-License-Identifier: Apache-2.0
#include "lib/watch/announced.hpp"

#include <time.h>

#include <algorithm>

namespace flowd::watch {

std::int64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

std::int64_t unix_time_of(std::int64_t monotonic) {
    return unix_time_ns() - (monotonic_ns() - monotonic);
}

Event start_of(const Announced& connection) {
    Event event = Event::start(connection.key, connection.tag);
    event->local = FLOWD_LOCAL_SOURCE;
    event->initiator = connection.initiator;
    event->time_ns = connection.start_unix_ns;
    event->start_time_ns = connection.start_unix_ns;
    return event;
}

Event end_of(const Announced& connection, const std::optional<flowd_usage>& usage, std::int64_t end_ns) {
    Event event = Event::end(connection.key, connection.tag);
    event->local = FLOWD_LOCAL_SOURCE;
    event->initiator = connection.initiator;
    event->start_time_ns = connection.start_unix_ns;
    event->end_time_ns = connection.start_unix_ns + std::max<std::int64_t>(0, end_ns - connection.start_ns);
    event->time_ns = event->end_time_ns;
    if (usage) {
        event->usage = *usage;
        event->usage.source = FLOWD_USAGE_KERNEL;
        event->usage.known = FLOWD_USAGE_BYTES | FLOWD_USAGE_PACKETS;
    }
    return event;
}

}  // namespace flowd::watch
