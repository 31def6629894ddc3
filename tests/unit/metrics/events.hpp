// SPDX-License-Identifier: Apache-2.0
// Events as the core delivers them to a backend.
#pragma once

#include <netinet/in.h>

#include <cstring>
#include <string>

#include "flowd/event.hpp"
#include "lib/net/tcp_info.hpp"

namespace flowd::metrics::test {

inline flowd_key key_of(std::uint16_t port) {
    return make_key({*Address::parse("2001:db8::1"), port}, {*Address::parse("2001:db8::2"), 1094}, IPPROTO_TCP);
}

/// The flow of that id: its source port is 10000 + id.
inline Event event_of(std::uint32_t kind, std::uint64_t id, flowd_tag tag = {2, 16}) {
    const flowd_key key = key_of(static_cast<std::uint16_t>(10000 + id));
    Event event = kind == FLOWD_EVENT_START ? Event::start(key, tag)
                  : kind == FLOWD_EVENT_END ? Event::end(key, tag)
                                            : Event::ongoing(key, tag);
    event->flow_id = id;
    event->start_time_ns = unix_time_ns();
    return event;
}

inline Event with_usage(Event event, std::uint64_t sent, std::uint64_t received) {
    event->usage = {sent, received, 0, 0, FLOWD_USAGE_KERNEL, FLOWD_USAGE_BYTES};
    return event;
}

/// struct tcp_info of a kernel of today.
class TcpInfo {
  public:
    template <typename T>
    TcpInfo& set(net::TcpMember member, T value) {
        std::memcpy(bytes_.data() + member.offset, &value, sizeof value);
        return *this;
    }
    [[nodiscard]] const std::string& bytes() const { return bytes_; }

  private:
    std::string bytes_ = std::string(248, '\0');
};

inline TcpInfo moved(std::uint64_t bytes) {
    TcpInfo info;
    info.set(net::tcp::bytes_acked, bytes).set(net::tcp::bytes_sent, bytes);
    return info;
}

/// An ongoing event that carries a sample. The sample and the bytes outlive it.
struct Sampled {
    Sampled(std::uint64_t id, TcpInfo tcp_info, std::string enricher = "netlink")
        : info(std::move(tcp_info)), source(std::move(enricher)), event(event_of(FLOWD_EVENT_ONGOING, id)) {
        sample.size = sizeof sample;
        sample.flow_id = id;
        sample.source = to_c(source);
        sample.congestion = to_c("bbr");
        sample.tcp_info = to_bytes(info.bytes());
        event->flags |= FLOWD_SAMPLED;
        event->samples = &sample;
        event->sample_count = 1;
        event->sample_stride = sizeof sample;
    }
    Sampled(const Sampled&) = delete;
    Sampled& operator=(const Sampled&) = delete;
    [[nodiscard]] EventView view() const { return EventView(event.raw()); }

    TcpInfo info;
    std::string source;
    flowd_sample sample{};
    Event event;
};

}  // namespace flowd::metrics::test
