// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/inlet.hpp"

#include <algorithm>
#include <utility>

#include "lib/net/no_ipv6.hpp"
#include "lib/net/receive_buffer.hpp"

namespace flowd::fireflyp {
namespace {

constexpr std::chrono::minutes finding_lasts{10};

}  // namespace

Inlet::Inlet(Host& host, const Endpoint& endpoint, std::string resource)
    : host_(host),
      endpoint_(endpoint),
      resource_(std::move(resource)),
      counters_(host,
                {
                    {"received", "fireflyp_received_total", "Datagrams received.", &received_},
                    {"kernelDrops", "fireflyp_kernel_drops_total",
                     "Datagrams the kernel dropped because its buffer was full.", [this] { return drops(); }},
                    {"receiveBuffer",
                     "fireflyp_receive_buffer_bytes",
                     "Receive buffer that the kernel granted.",
                     [this] { return socket_ ? socket_->receive_buffer() : 0; },
                     {},
                     "bytes"},
                },
                {{"bind", endpoint.to_string()}}) {}

Result<void> Inlet::prepare(const net::UdpSocket::Binding& binding) {
    const auto at = net::listening_endpoint(endpoint_);
    UniqueFd handed = host_.descriptors().take(resource_);
    if (!handed && !at.warning.empty()) {
        host_.warning(at.warning);
        endpoint_ = at.endpoint;
    }
    auto socket = handed ? net::UdpSocket::adopted(std::move(handed), binding.receive_buffer)
                         : net::UdpSocket::bound(endpoint_, binding);
    if (!socket) return std::move(socket).error();
    drops_seen_ = socket->drops();
    net::check_receive_buffer(host_, "udp " + endpoint_.to_string(), socket->receive_buffer(),
                              static_cast<std::uint32_t>(binding.receive_buffer));
    socket_ = std::move(*socket);
    return host_.descriptors().keep(resource_, socket_->fd());
}

Result<void> Inlet::start(std::function<void()> readable) {
    auto watch = host_.watch(socket_->fd(), FLOWD_IO_READ, [readable = std::move(readable)](std::uint32_t) { readable(); });
    if (!watch) return std::move(watch).error();
    watch_ = std::move(*watch);
    host_.info("receiving fireflies at " + endpoint_.to_string());
    return {};
}

void Inlet::read_on(bool reads) {
    if (!watch_) return;  // stopped
    const std::uint32_t conditions = reads ? FLOWD_IO_READ : 0;
    if (auto done = watch_.conditions(conditions); !done) host_.report(Problem::from(done.error()));
}

std::uint64_t Inlet::close(net::ReceiveBatch& into) {
    if (!socket_) return 0;
    std::uint64_t unread = 0;
    host_.descriptors().forget(resource_);
    // Another holder of the socket continues to read it.
    for (std::size_t most = host_.descriptors().held(resource_) ? 0 : socket_->queued(); most > 0;) {
        const auto received = into.receive(fd());
        if (!received || received->empty()) break;
        count(received->size(), into.drops());
        unread += received->size();
        most -= std::min(most, received->size());  // senders may continue
    }
    note_drops(socket_->drops());
    tell_drops();
    socket_.reset();
    return unread;
}

std::uint64_t Inlet::drops() const {
    if (socket_) note_drops(socket_->drops());
    return drops_;
}

/// `total` wraps. A datagram that was queued may carry an older count than the one that is known.
void Inlet::note_drops(std::uint32_t total) const {
    const std::uint32_t more = total - drops_seen_;
    if (static_cast<std::int32_t>(more) <= 0) return;
    drops_ += more;
    drops_seen_ = total;
    last_drop_ = Clock::now();
}

void Inlet::tell_drops() {
    const std::uint64_t more = drops_ - std::exchange(drops_told_, drops_);
    if (more > 0)
        host_.warning("the kernel dropped " + std::to_string(more) + " datagrams at " + endpoint_.to_string() +
                      ": its buffer of " + std::to_string(socket_->receive_buffer()) +
                      " bytes was full; see receiveBuffer and sysctl net.core.rmem_max");
}

void Inlet::count(std::size_t datagrams, std::optional<std::uint32_t> drops) {
    received_ += datagrams;
    if (drops) note_drops(*drops);
    tell_drops();
}

void Inlet::publish() {
    counters_.publish();
    tell_drops();
}

void Inlet::add_findings(std::vector<Finding>& all) const {
    const std::uint64_t dropped = drops();
    if (!last_drop_ || Clock::now() - *last_drop_ > finding_lasts) return;
    all.push_back({FLOWD_LEVEL_WARNING, "fireflyp-datagrams-dropped", endpoint_.to_string(),
                   "the kernel dropped " + std::to_string(dropped) + " datagrams, because the receive buffer was full",
                   "each datagram is received", "raise receiveBuffer, and sysctl net.core.rmem_max"});
}

void Inlet::status(json::Writer& writer) const {
    writer.object().member("address", endpoint_.to_string());
    counters_.status(writer);
    writer.end();
}

}  // namespace flowd::fireflyp
