// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/fireflyp.hpp"

#include <numeric>
#include <utility>

#include "lib/firefly/blocks.hpp"
#include "lib/firefly/event.hpp"

namespace flowd::fireflyp {
namespace {

constexpr std::array<const char*, 4> kinds{"", "start", "ongoing", "end"};

/// Who told us, for caps per source. Never 0, which means nobody.
[[nodiscard]] std::uint64_t sender_of(const Address& peer) {
    std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
    for (const std::uint8_t byte : peer.bytes()) hash = (hash ^ byte) * 0x100000001b3u;
    return hash == 0 ? 1 : hash;
}

}  // namespace

Fireflyp::Fireflyp(Host& host, Options options)
    : Plugin(host),
      options_(std::move(options)),
      resource_("udp:" + Endpoint{options_.bind_address, options_.bind_port}.to_string()),
      receive_(batch, options_.buffer_size),
      parser_(options_.buffer_size),
      relay_(host, options_.receivers) {
    received_metric_ = host.counter("fireflyp_received_total", "Datagrams received.");
    drops_metric_ =
        host.counter("fireflyp_kernel_drops_total", "Datagrams the kernel dropped because its buffer was full.");
    not_taken_metric_ = host.counter("fireflyp_not_taken_total", "Fireflies understood whose event the core did not take.");
    pauses_metric_ = host.counter("fireflyp_pauses_total", "Times that reading stopped because the queues were full.");
    for (std::size_t i = 1; i < firefly::refusal_names.size(); ++i)
        refused_metrics_.push_back(host.counter("fireflyp_refused_total", "Datagrams that are no fireflies, by reason.",
                                                {{"reason", std::string(firefly::refusal_names[i])}}));
    for (std::size_t i = 1; i < kinds.size(); ++i)
        announced_metrics_.push_back(
            host.counter("fireflyp_events_total", "Flow events announced, by state.", {{"state", kinds[i]}}));
}

Result<void> Fireflyp::prepare() {
    const int wanted = static_cast<int>(options_.receive_buffer);
    UniqueFd handed = host().descriptors().take(resource_);
    auto socket = handed ? net::UdpSocket::adopted(std::move(handed), wanted)
                         : net::UdpSocket::bound({options_.bind_address, options_.bind_port}, wanted);
    if (!socket) return std::move(socket).error();
    drops_seen_ = socket->drops();
    if (socket->receive_buffer() < wanted)
        host().info("the kernel buffers " + std::to_string(socket->receive_buffer()) + " of the " + std::to_string(wanted) +
                    " bytes of receiveBuffer; sysctl net.core.rmem_max, or CAP_NET_ADMIN, allows more");
    socket_ = std::move(*socket);
    return host().descriptors().keep(resource_, socket_->fd());
}

Result<void> Fireflyp::start() {
    auto readable = host().watch(socket_->fd(), FLOWD_IO_READ, [this](std::uint32_t) { on_readable(); });
    if (!readable) return std::move(readable).error();
    auto publisher = host().every(std::chrono::seconds(1), [this] { publish(); });
    if (!publisher) return std::move(publisher).error();
    readable_ = std::move(*readable);
    publisher_ = std::move(*publisher);
    relay_.start();
    host().info("receiving fireflies at " + resource_);
    return {};
}

void Fireflyp::on_readable() {
    if (paused_) return;  // an error condition is reported even then
    for (int i = 0; i < batches_per_turn; ++i) {
        auto received = receive_.receive(socket_->fd());
        if (!received) {
            last_error_ = received.error().message;
            break;
        }
        received_ += received->size();
        waiting_ = *received;
        if (!drain() || received->size() < receive_.capacity()) break;
    }
    relay_.flush();
}

bool Fireflyp::drain() {
    for (; !waiting_.empty(); waiting_ = waiting_.subspan(1), passed_on_ = false) {
        const Taken taken = take(waiting_.front());
        if (taken == Taken::yes) continue;
        if (taken == Taken::full && !std::exchange(paused_, true)) {
            ++pauses_;
            if (auto done = readable_.conditions(0); !done) last_error_ = done.error().message;
        }
        if (taken == Taken::stopped) readable_.reset();
        return false;
    }
    return true;
}

Fireflyp::Taken Fireflyp::take(const net::Datagram& datagram) {
    firefly::Firefly firefly;
    const auto refusal = datagram.truncated ? firefly::Refusal::truncated : parser_.parse(datagram.payload, firefly);
    if (refusal != firefly::Refusal::none) {
        refuse(refusal);
        return Taken::yes;
    }
    if (!std::exchange(passed_on_, true)) relay_.pass(datagram.payload);
    return announce(datagram, firefly);
}

Fireflyp::Taken Fireflyp::announce(const net::Datagram& datagram, const firefly::Firefly& firefly) {
    flowd_event event = firefly::to_event(firefly);
    event.sender = sender_of(datagram.peer.address);

    std::vector<std::string> ids;
    ids.reserve(firefly.blocks.size());
    std::vector<flowd_attachment> attachments;
    attachments.reserve(firefly.blocks.size() + 1);
    attachments.push_back({sizeof(flowd_attachment), 0, to_c(FLOWD_ATTACHMENT_DATAGRAM), to_bytes(datagram.payload)});
    for (const firefly::Block& block : firefly.blocks) {
        ids.push_back(std::string(FLOWD_ATTACHMENT_JSON) + std::string(block.name));
        attachments.push_back({sizeof(flowd_attachment), 0, to_c(ids.back()), to_bytes(block.json)});
    }
    event.attachments = attachments.data();
    event.attachment_count = attachments.size();
    event.attachment_stride = sizeof(flowd_attachment);

    switch (host().emit(event).result) {
        case FLOWD_OK:
            ++announced_[event.kind];
            return Taken::yes;
        case FLOWD_FULL:
            return Taken::full;
        case FLOWD_STOPPED:
            return Taken::stopped;
        default:
            ++not_taken_;
            return Taken::yes;
    }
}

void Fireflyp::on_room() {
    if (!paused_) return;
    paused_ = false;
    if (!drain()) return;
    relay_.flush();
    if (auto done = readable_.conditions(FLOWD_IO_READ); !done) last_error_ = done.error().message;
}

Result<void> Fireflyp::stop(Deadline deadline) {
    readable_.reset();
    publisher_.reset();
    relay_.stop(deadline);
    if (!waiting_.empty())
        host().warning(std::to_string(waiting_.size()) + " fireflies were received but not announced before the stop");
    waiting_ = {};
    if (socket_) publish();
    return {};
}

void Fireflyp::count_drops() {
    const std::uint32_t now = socket_->drops();
    drops_ += static_cast<std::uint32_t>(now - std::exchange(drops_seen_, now));  // modulo 2^32
}

void Fireflyp::publish() {
    count_drops();
    received_metric_.set_total(static_cast<double>(received_));
    drops_metric_.set_total(static_cast<double>(drops_));
    not_taken_metric_.set_total(static_cast<double>(not_taken_));
    pauses_metric_.set_total(static_cast<double>(pauses_));
    for (std::size_t i = 1; i < refused_.size(); ++i) refused_metrics_[i - 1].set_total(static_cast<double>(refused_[i]));
    for (std::size_t i = 1; i < announced_.size(); ++i)
        announced_metrics_[i - 1].set_total(static_cast<double>(announced_[i]));
    relay_.publish();
}

void Fireflyp::status(json::Writer& object) const {
    object.member("address", Endpoint{options_.bind_address, options_.bind_port}.to_string());
    object.member("received", received_);
    object.key("announced").object();
    for (std::size_t i = 1; i < kinds.size(); ++i) object.member(kinds[i], announced_[i]);
    object.end();
    object.member("refused", std::accumulate(refused_.begin(), refused_.end(), std::uint64_t{0}));
    object.key("refusals").object();
    for (std::size_t i = 1; i < refused_.size(); ++i)
        if (refused_[i] != 0) object.member(firefly::refusal_names[i], refused_[i]);
    object.end();
    object.member("notTaken", not_taken_);
    object.member("kernelDrops", drops_ + (socket_ ? static_cast<std::uint32_t>(socket_->drops() - drops_seen_) : 0));
    object.member("receiveBuffer", socket_ ? socket_->receive_buffer() : 0);
    object.member("paused", paused_).member("pauses", pauses_);
    if (!last_error_.empty()) object.member("lastError", last_error_);
    relay_.status(object);
}

}  // namespace flowd::fireflyp
