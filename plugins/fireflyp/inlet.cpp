// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/inlet.hpp"

#include <algorithm>
#include <utility>

#include "lib/net/no_ipv6.hpp"
#include "lib/net/receive_buffer.hpp"

namespace flowd::fireflyp {
namespace {

constexpr std::chrono::minutes finding_lasts{10};

[[nodiscard]] Labels labels_of(const Endpoint& endpoint, std::uint32_t index, std::uint32_t sockets) {
    Labels labels{{"bind", endpoint.to_string()}};
    if (sockets > 1) labels.emplace_back("socket", std::to_string(index));
    return labels;
}

/// The first has the name that a socket has without companions.
[[nodiscard]] std::string numbered(const std::string& resource, std::uint32_t index) {
    return index == 0 ? resource : resource + "/" + std::to_string(index);
}

}  // namespace

Inlet::Inlet(Host& host, const Endpoint& endpoint, const std::string& resource, std::uint32_t index, std::uint32_t sockets)
    : host_(host),
      endpoint_(endpoint),
      resource_(numbered(resource, index)),
      index_(index),
      sockets_(sockets),
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
                labels_of(endpoint, index, sockets)) {}

std::string Inlet::name() const {
    return endpoint_.to_string() + (sockets_ > 1 ? ", socket " + std::to_string(index_) : std::string());
}

Result<void> Inlet::prepare(const net::UdpSocket::Binding& binding) {
    const auto at = net::listening_endpoint(endpoint_);
    UniqueFd handed = host_.descriptors().take(resource_);
    if (!handed && !at.warning.empty()) {
        host_.warning(at.warning);
        endpoint_ = at.endpoint;
    }
    auto socket = handed ? net::UdpSocket::adopted(std::move(handed), binding.receive_buffer)
                         : net::UdpSocket::bound(endpoint_, binding);
    if (!socket) {
        Error error = std::move(socket).error();
        if (error.code == FLOWD_BUSY && index_ > 0)
            error.hint = "of the " + std::to_string(sockets_) + " receivers only " + std::to_string(index_) +
                         " got a socket: the port belongs to another user. If systemd holds it, write ReusePort=yes and "
                         "ListenDatagram= once for each receiver into flowd-cpp-fireflyp.socket";
        return error;
    }
    // Only after it was bound alone: a port that another program uses is an error.
    if (sockets_ > 1)
        if (auto shared = socket->share_port(); !shared) return shared;
    drops_seen_ = socket->drops();
    net::check_receive_buffer(host_, "udp " + name(), socket->receive_buffer(),
                              static_cast<std::uint32_t>(binding.receive_buffer));
    socket_ = std::move(*socket);
    return host_.descriptors().keep(resource_, socket_->fd());
}

Result<void> Inlet::steer() const {
    if (sockets_ == 1 && !socket_->shares_port()) return {};
    auto steered = socket_->steer_by_sender(sockets_);
    if (steered || sockets_ == 1) return {};  // alone, it needs that only if a predecessor had more
    Error error = std::move(steered).error();
    error.hint = "a filter of system calls or a security module denies it; with receivers: 1 it is not needed";
    return error;
}

void Inlet::steer_back() const {
    std::uint32_t sockets = 0;
    while (host_.descriptors().held(numbered(resource_, sockets))) ++sockets;
    if (sockets > 0 && socket_->shares_port()) (void)socket_->steer_by_sender(sockets);
}

Result<void> Inlet::watch(std::function<void()> readable) {
    auto watch = host_.watch(socket_->fd(), FLOWD_IO_READ, [readable = std::move(readable)](std::uint32_t) { readable(); });
    if (!watch) return std::move(watch).error();
    watch_ = std::move(*watch);
    return {};
}

void Inlet::read_on(bool reads) {
    if (!watch_) return;  // stopped
    const std::uint32_t conditions = reads ? FLOWD_IO_READ : 0;
    if (auto done = watch_.conditions(conditions); !done) host_.report(Problem::from(done.error()));
}

bool Inlet::hand_over() {
    host_.descriptors().forget(resource_);
    return host_.descriptors().held(resource_);
}

bool Inlet::has_successor() {
    host_.descriptors().forget(resource_);
    // What another instance has is not given away.
    return host_.descriptors().held(resource_) && !host_.descriptors().take(resource_);
}

std::uint64_t Inlet::close(net::ReceiveBatch& into) {
    if (!socket_) return 0;
    std::uint64_t unread = 0;
    for (std::size_t most = hand_over() ? 0 : socket_->queued(); most > 0;) {
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
        host_.warning("the kernel dropped " + std::to_string(more) + " datagrams at " + name() + ": its buffer of " +
                      std::to_string(socket_->receive_buffer()) +
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
    all.push_back({FLOWD_LEVEL_WARNING, "fireflyp-datagrams-dropped", name(),
                   "the kernel dropped " + std::to_string(dropped) + " datagrams, because the receive buffer was full",
                   "each datagram is received", "raise receiveBuffer, and sysctl net.core.rmem_max"});
}

void Inlet::status(json::Writer& writer) const {
    writer.object().member("address", endpoint_.to_string());
    if (sockets_ > 1) writer.member("socket", index_);
    counters_.status(writer);
    writer.end();
}

}  // namespace flowd::fireflyp
