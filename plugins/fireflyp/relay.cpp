// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/relay.hpp"

#include <utility>

#include "lib/firefly/provenance.hpp"
#include "lib/net/target_findings.hpp"

namespace flowd::fireflyp {
namespace {

constexpr std::size_t most_text = 8 * 1024;
constexpr net::TargetFindings ids{"fireflyp-receiver-unresolved", "fireflyp-receiver-unroutable",
                                  "fireflyp-receiver-silent", "fireflyp-receiver-unreachable"};

}  // namespace

Relay::Relay(Host& host, const std::vector<Receiver>& receivers, std::chrono::seconds resolve_interval)
    : host_(host), own_(host), damper_(std::chrono::seconds(5), 8192), limit_(receivers.empty() ? 0 : 1u << 14) {
    net::Target::Schedule schedule;
    schedule.again = resolve_interval;
    for (const Receiver& receiver : receivers) {
        auto target = std::make_unique<net::Target>(receiver.address, receiver.port, net::system_lookup(), schedule);
        const Labels labels{{"receiver", target->name()}};
        targets_.push_back(std::make_unique<net::HostedTarget>(
            host, std::move(target), [this](const Endpoint& endpoint) { return own_.includes(endpoint); }));
        const auto count = [hosted = targets_.back().get()](std::uint64_t net::SenderCounts::*which) {
            return [hosted, which] {
                return hosted->with([which](const net::Target& of) { return of.sender().counts().*which; });
            };
        };
        target_counters_.emplace_back(
            host,
            std::vector<Counters::Row>{
                {"", "fireflyp_relayed_total", "Fireflies relayed unchanged.", count(&net::SenderCounts::sent)},
                {"", "fireflyp_relay_failed_total", "Fireflies that the kernel refused.",
                 count(&net::SenderCounts::failed)},
                {"", "fireflyp_relay_dropped_total", "Fireflies that were dropped because the queue was full.",
                 count(&net::SenderCounts::dropped)},
                {"", "fireflyp_relay_refused_total", "Errors of a receiver or of the path to it.",
                 count(&net::SenderCounts::refused)},
            },
            labels);
    }
    if (!active()) return;
    counters_.emplace(
        host, std::vector<Counters::Row>{
                  {"damped", "fireflyp_relay_damped_total", "Fireflies not relayed because they are duplicates.",
                   [this] { return damped_.load(); }},
                  {"limited", "fireflyp_relay_limited_total",
                   "Fireflies not relayed because of the rate limit of their flow.", [this] { return limited_.load(); }},
              });
}

void Relay::start() {
    for (const auto& target : targets_) target->start();
}

void Relay::pass(const net::Datagram& datagram, const firefly::Firefly& firefly, std::uint16_t port,
                 Damper::Clock::time_point now, std::string& passed) {
    if (!active()) return;
    // The caller recognises duplicates of numbered datagrams.
    const bool repeated = !firefly.member && damper_.repeated(hash_of_text(datagram.payload), now);
    if (repeated)
        ++damped_;
    else if (!within_limit(firefly, now)) {
        ++limited_;
        return;
    }
    const Endpoint sender{datagram.peer.address, port};
    for (const auto& hosted : targets_)
        hosted->with([&](net::Target& target) {
            if (!repeated && (target.endpoint() == sender || !target.push(datagram.payload))) return;
            if (passed.size() > most_text) return;  // the core limits the bytes that it stores with a flow
            firefly::add_receiver(passed, target.name());
            firefly::add_receiver(passed, target.address_text());
        });
}

bool Relay::within_limit(const firefly::Firefly& firefly, Damper::Clock::time_point now) {
    const FlowState flow{firefly.key, static_cast<std::uint32_t>(firefly.state)};
    const std::lock_guard lock(mutex_);
    return limit_.admits(flow, now);
}

void Relay::add_findings(std::vector<Finding>& all) const {
    for (const auto& hosted : targets_) hosted->with([&](const net::Target& target) { ids.add(all, target); });
}

void Relay::add_host_findings(std::vector<Finding>& all, const std::vector<Receiver>& receivers) {
    for (const Receiver& receiver : receivers) ids.add_host(all, receiver.address, receiver.port);
}

void Relay::flush() {
    bool settled = true;
    for (const auto& target : targets_) settled = target->send() && settled;
    if (settled || settles_.exchange(true)) return;
    host_.post([this] { settle(); });
}

void Relay::settle() {
    settles_ = false;
    for (const auto& target : targets_) target->settle();
}

void Relay::stop(const Deadline& deadline) {
    for (const auto& target : targets_) target->stop(deadline);
}

void Relay::publish() {
    for (Counters& counters : target_counters_) counters.publish();
    if (counters_) counters_->publish();
}

void Relay::status(json::Writer& object) const {
    if (!active()) return;
    object.key("relay").array();
    for (const auto& target : targets_) target->status(object);
    object.end();
    counters_->status(object);
}

}  // namespace flowd::fireflyp
