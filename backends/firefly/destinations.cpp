// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/destinations.hpp"

#include <poll.h>

#include <algorithm>
#include <string>
#include <utility>

namespace flowd::firefly_backend {

void Destinations::open() {
    const auto use = [&](Way& way, const char* like) {
        way.writable.reset();  // it watches the old descriptor
        auto socket = net::UdpSocket::unconnected(*Address::parse(like));
        if (socket)
            way.sender.use(std::move(*socket));
        else
            host_.info(socket.error().message);
    };
    use(v4_, "0.0.0.0");
    use(v6_, "::");
}

/// A destination that was forgotten begins a new stream, in which no gap shows.
firefly::Stream& Destinations::stream_of(const Address& address) {
    constexpr std::size_t most = 4096;
    const auto known = streams_.find(address);
    if (known != streams_.end()) return known->second;
    if (streams_.size() == most) streams_.clear();
    return streams_.emplace(address, firefly::Stream(boot_)).first->second;
}

Destinations::Answer Destinations::push(std::string_view datagram, const Endpoint& to, std::uint32_t zone,
                                        const firefly::Path& path, std::size_t max_size) {
    const bool link_local = !to.address.is_v4() && to.address.is_link_local();
    if (to.address.is_unspecified() || to.address.is_multicast() || (link_local && zone == 0)) return Answer::not_a_host;
    if (own_.includes(to)) return Answer::ourselves;
    Way& way = to.address.is_v4() ? v4_ : v6_;
    numbered_.clear();
    stream_of(to.address).number(numbered_, datagram, path, max_size);
    return way.sender.push(numbered_, to, link_local ? zone : 0) ? Answer::queued : Answer::no_room;
}

void Destinations::flush() {
    flush(v4_);
    flush(v6_);
}

void Destinations::flush(Way& way) {
    if (way.sender.flush()) {
        way.writable.reset();
        return;
    }
    if (way.writable) return;
    auto watch = host_.watch(way.sender.socket()->fd(), FLOWD_IO_WRITE, [this, &way](std::uint32_t) { flush(way); });
    if (watch)
        way.writable = std::move(*watch);
    else
        host_.report(Problem::from(watch.error()));
}

void Destinations::stop(const Deadline& deadline) {
    const std::uint64_t dropped = counts().dropped;
    for (Way* way : {&v4_, &v6_}) {
        way->writable.reset();
        while (!way->sender.flush() && !deadline.passed()) {
            pollfd wanted{way->sender.socket()->fd(), POLLOUT, 0};
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline.left()).count();
            (void)::poll(&wanted, 1, static_cast<int>(std::min<long>(left + 1, 1000)));
        }
        way->sender.discard();
    }
    // Reports only what this stop discards: many destinations have no route, which is not a loss of the stop.
    host_.lost(counts().dropped - dropped, "fireflies for destinations could not be sent before the stop");
}

net::SenderCounts Destinations::counts() const {
    const auto &a = v4_.sender.counts(), &b = v6_.sender.counts();
    return {a.sent + b.sent, a.dropped + b.dropped, a.failed + b.failed, a.refused + b.refused};
}

void Destinations::status(json::Writer& object) const {
    const auto sum = counts();
    object.key("destinations").object();
    object.member("sent", sum.sent).member("failed", sum.failed).member("dropped", sum.dropped);
    object.member("waiting", v4_.sender.waiting() + v6_.sender.waiting());
    object.member("lastError", v6_.sender.last_error().empty() ? v4_.sender.last_error() : v6_.sender.last_error());
    object.end();
}

}  // namespace flowd::firefly_backend
