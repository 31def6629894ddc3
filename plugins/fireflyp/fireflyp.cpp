// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/fireflyp.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "lib/text/summary.hpp"

namespace flowd::fireflyp {
namespace {

/// Sockets that share a port are distinguished by their instance.
[[nodiscard]] std::string resource_of(const Host& host, const Endpoint& endpoint, bool reuse_port) {
    const std::string resource = "udp:" + endpoint.to_string();
    return reuse_port ? std::string(host.instance()) + "/" + resource : resource;
}

}  // namespace

Fireflyp::Fireflyp(Host& host, Options options)
    : Plugin(host),
      options_(std::move(options)),
      receive_(batch, options_.buffer_size),
      parser_(options_.buffer_size),
      allowed_(options_.allow),
      rate_(options_.rate_per_source),
      relay_(host, options_.receivers, options_.resolve_interval),
      counters_(host,
                {
                    {"received", [this] { return sum_of(&Inlet::received); }},
                    {"kernelDrops", [this] { return sum_of(&Inlet::drops); }},
                    {"announced", "fireflyp_events_total", "Flow events announced, by state.",
                     Counters::by("state", Outbox::kinds, outbox_.taken(), 1)},
                    {"turnedAway", "fireflyp_turned_away_total", "Datagrams that were dropped without parsing, by reason.",
                     Counters::by("reason", turned_away_names, turned_away_)},
                    {"refused", Counters::sum(refused_)},
                    {"refusals", "fireflyp_refused_total", "Datagrams that were refused, by reason.",
                     Counters::by("reason", firefly::refusal_names, refused_, 1).without_zeros()},
                    {"lost", [this] { return streams_.total(); }},
                    {"lostBySender", "fireflyp_lost_total", "Numbered fireflies that were lost, by sender.",
                     Counters::Source("sender",
                                      [this](const Counters::Visit& visit) {
                                          for (const auto& [sender, lost] : streams_.lost())
                                              visit(sender.to_string(), lost);
                                          visit("others", streams_.lost_of_others());
                                      })
                         .without_zeros()},
                    {"notTaken", "fireflyp_not_taken_total", "Accepted fireflies whose event the core refused.",
                     &outbox_.refused()},
                    {"paused", [this] { return outbox_.full(); }},
                    {"pauses", "fireflyp_pauses_total", "How often reading stopped because the queues were full.",
                     &outbox_.pauses()},
                }) {
    for (const Endpoint& endpoint : options_.endpoints())
        inlets_.emplace_back(host, endpoint, resource_of(host, endpoint, options_.reuse_port));
}

Result<void> Fireflyp::prepare() {
    for (auto inlet = inlets_.begin(); inlet != inlets_.end();) {
        auto prepared = inlet->prepare({static_cast<int>(options_.receive_buffer), options_.reuse_port});
        // Without IPv6 in the kernel, or IPv4 in the network namespace, the other loopback address suffices.
        const bool spare = !options_.bind_address && inlet->is_loopback() && inlets_.size() > 1;
        if (!prepared && (!spare || prepared.error().code == FLOWD_BUSY)) return prepared;
        if (!prepared) host().info(prepared.error().message + "; it is not used");
        inlet = prepared ? std::next(inlet) : inlets_.erase(inlet);
    }
    return {};
}

Result<void> Fireflyp::start() {
    if (options_.deadline.count() != 0) host().debug("deadline is not needed: receiving never waits");
    for (Inlet& inlet : inlets_) {
        auto started = inlet.start([this, &inlet] { read(inlet); });
        if (!started) return started;
    }
    if (auto done = publisher_.start(); !done) return done;
    relay_.start();
    return {};
}

void Fireflyp::settle() {
    streams_.settle();
    if (loop_silence_ > 0) --loop_silence_;
    if (loop_silence_ == 0 && loop_peer_) warn_of_loop();
}

void Fireflyp::read(Inlet& inlet) {
    for (int i = 0; i < batches_per_turn && !outbox_.full(); ++i) {  // an error condition is reported even while paused
        auto received = receive_.receive(inlet.fd());
        if (!received) {
            last_error_ = received.error().message;
            break;
        }
        inlet.count(received->size(), receive_.drops());
        batch_.clear();
        const auto now = RateLimit::Clock::now();
        for (const net::Datagram& datagram : *received) take(datagram, inlet.port(), now);
        if (!announce() || received->size() < receive_.capacity()) break;
    }
    relay_.flush();
}

void Fireflyp::take(const net::Datagram& datagram, std::uint16_t port, RateLimit::Clock::time_point now) {
    const Address& peer = datagram.peer.address;
    const auto refuse = [&](std::string_view reason) {
        host().refused(reason, datagram.peer.to_string(), datagram.payload);
    };
    for (const auto reason : {TurnedAway::not_allowed, TurnedAway::rate}) {
        if (reason == TurnedAway::not_allowed ? allowed_.includes(peer) : rate_.admits(peer, now)) continue;
        refuse(turned_away_names[static_cast<std::size_t>(reason)]);
        return turn_away(reason);
    }
    firefly::Firefly firefly;
    const auto refusal = datagram.truncated ? firefly::Refusal::truncated : parser_.parse(datagram.payload, firefly);
    if (refusal != firefly::Refusal::none) {
        ++refused_[static_cast<std::size_t>(refusal)];
        return refuse(firefly::name_of(refusal));
    }
    if (circulates(firefly, peer, now)) return;
    const firefly::Path path = firefly.member ? firefly.member->path : firefly::Path{boot_, 0};
    batch_.add(firefly, datagram, {path, peer, port, relay_.pass(datagram, firefly, port, now)}, host().sender_id(peer));
}

bool Fireflyp::circulates(const firefly::Firefly& firefly, const Address& peer, RateLimit::Clock::time_point now) {
    if (!firefly.member) return false;
    streams_.note(peer, *firefly.member);
    const bool own = firefly.member->path.origin == boot_ || firefly.member->boot == boot_;
    const FlowState flow{firefly.key, static_cast<std::uint32_t>(firefly.state)};
    if (!own && !numbers_.repeated(hash_of_number(*firefly.member, flow), now)) return false;
    turn_away(own ? TurnedAway::own : TurnedAway::repeated);
    loop_peer_ = peer;
    if (loop_silence_ == 0) warn_of_loop();
    return true;
}

void Fireflyp::warn_of_loop() {
    constexpr unsigned minute = 60;
    loop_silence_ = minute;
    const auto of = [this](TurnedAway reason) { return std::to_string(turned_away_[static_cast<std::size_t>(reason)]); };
    host().warning("fireflies come back from " + loop_peer_->to_string() + ": " + of(TurnedAway::own) +
                   " that this daemon sent itself, " + of(TurnedAway::repeated) +
                   " that it received before, since the start; they are dropped. See whether two daemons have each other "
                   "as collector or receiver, and remove one of the two");
    loop_peer_.reset();
}

bool Fireflyp::announce() {
    for (const flowd_event& event : batch_.events()) outbox_.add(event);
    return outbox_.flush();
}

void Fireflyp::read_on(bool has_room) {
    for (Inlet& inlet : inlets_) inlet.read_on(has_room);
}

void Fireflyp::drain(const Deadline& deadline) {
    const auto announced = [&] {
        return deadline.await([this] {
            const bool done = outbox_.drain();
            relay_.flush();
            return done;
        });
    };
    bool in_time = announced();
    bool more = deadline.reason() != FLOWD_STOP_REPLACED;  // a successor continues to read
    while (in_time && std::exchange(more, false)) {
        for (Inlet& inlet : inlets_) {
            auto received = receive_.receive(inlet.fd());
            if (!received || received->empty()) continue;
            more = true;
            inlet.count(received->size(), receive_.drops());
            batch_.clear();
            const auto now = RateLimit::Clock::now();
            for (const net::Datagram& datagram : *received) take(datagram, inlet.port(), now);
            announce();
            in_time = announced() && !deadline.passed();
            if (!in_time) break;
        }
    }
}

Result<void> Fireflyp::stop(Deadline deadline) {
    for (Inlet& inlet : inlets_) inlet.stop();
    if (publisher_.is_running()) drain(deadline);
    relay_.stop(deadline);
    std::uint64_t left = outbox_.clear();
    for (Inlet& inlet : inlets_) left += inlet.close(receive_);
    publisher_.stop();
    host().lost(left, "fireflies were not announced before the stop");
    return {};
}

void Fireflyp::publish() {
    for (Inlet& inlet : inlets_) inlet.publish();
    counters_.publish();
    relay_.publish();
}

std::uint64_t Fireflyp::sum_of(std::uint64_t (Inlet::*count)() const) const {
    std::uint64_t sum = 0;
    for (const Inlet& inlet : inlets_) sum += (inlet.*count)();
    return sum;
}

std::vector<Finding> Fireflyp::findings() const {
    std::vector<Finding> all;
    for (const Inlet& inlet : inlets_) inlet.add_findings(all);
    relay_.add_findings(all);
    return all;
}

std::vector<Finding> Fireflyp::host_findings(const Options& options, const Offline&) {
    std::vector<Finding> all;
    Relay::add_host_findings(all, options.receivers);
    return all;
}

void Fireflyp::status(json::Writer& object) const {
    std::vector<std::string> names;
    for (const Inlet& inlet : inlets_) names.push_back(inlet.name());
    object.member("summary", text::summary("listens on", names));
    object.key("binds").array();
    for (const Inlet& inlet : inlets_) inlet.status(object);
    object.end();
    counters_.status(object);
    if (!last_error_.empty()) object.member("lastError", last_error_);
    relay_.status(object);
}

}  // namespace flowd::fireflyp
