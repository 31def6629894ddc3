// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/event.hpp"

#include <algorithm>
#include <iterator>

#include "flowd/address.hpp"
#include "lib/text/utf8.hpp"

namespace flowd::firefly {
namespace {

constexpr std::size_t longest_application = 256;  ///< limit of the core for flowd_event.application

[[nodiscard]] std::int64_t first_known(std::initializer_list<std::int64_t> times) {
    const auto known = std::find_if(times.begin(), times.end(), [](std::int64_t time) { return time != 0; });
    return known == times.end() ? 0 : *known;
}

}  // namespace

flowd_event to_event(const Firefly& firefly) {
    flowd_event event{};
    event.size = sizeof event;
    event.kind = static_cast<std::uint32_t>(firefly.state);
    event.flags = FLOWD_LEARNT_REMOTELY;
    event.key = firefly.key;
    event.tag = firefly.tag;
    event.start_time_ns = firefly.start_time_ns;
    switch (firefly.state) {
        case State::start:
            event.time_ns = first_known({firefly.start_time_ns, firefly.current_time_ns});
            break;
        case State::ongoing:
            event.time_ns = firefly.current_time_ns;
            break;
        case State::end:
            event.end_time_ns = first_known({firefly.end_time_ns, firefly.current_time_ns});
            event.time_ns = event.end_time_ns;
            break;
    }
    if (firefly.has_usage) {
        event.usage.source = FLOWD_USAGE_APPLICATION;
        event.usage.known = FLOWD_USAGE_BYTES;
        event.usage.bytes_received = firefly.received;
        event.usage.bytes_sent = firefly.sent;
    }
    const std::string_view application = text::cut(firefly.application, longest_application);
    event.application = {application.data(), application.size()};
    return event;
}

Printable printable(const flowd_event& event) {
    if (event.kind != FLOWD_EVENT_START && event.kind != FLOWD_EVENT_ONGOING && event.kind != FLOWD_EVENT_END)
        return Printable::kind;
    if (event.key.protocol != IPPROTO_TCP && event.key.protocol != IPPROTO_UDP) return Printable::protocol;
    if (event.key.source_port == 0 || event.key.destination_port == 0) return Printable::port;
    const Address source(event.key.source), destination(event.key.destination);
    if (source.is_unspecified() || destination.is_unspecified() || source.is_v4() != destination.is_v4())
        return Printable::address;
    return Printable::yes;
}

Firefly from_event(const flowd_event& event, std::int64_t now_ns) {
    Firefly firefly;
    firefly.state = static_cast<State>(event.kind);
    firefly.key = event.key;
    firefly.tag = event.tag;
    firefly.current_time_ns = now_ns;
    firefly.start_time_ns = event.start_time_ns;
    if (firefly.state == State::start) firefly.start_time_ns = first_known({event.start_time_ns, event.time_ns, now_ns});
    if (firefly.state == State::end) firefly.end_time_ns = first_known({event.end_time_ns, event.time_ns, now_ns});
    firefly.has_usage = (event.usage.known & FLOWD_USAGE_BYTES) != 0;
    firefly.received = event.usage.bytes_received;
    firefly.sent = event.usage.bytes_sent;
    firefly.application = {event.application.data, event.application.length};
    return firefly;
}

}  // namespace flowd::firefly
