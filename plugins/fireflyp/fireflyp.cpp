// SPDX-License-Identifier: Apache-2.0
#include "plugins/fireflyp/fireflyp.hpp"

#include <utility>

#include "lib/text/summary.hpp"

namespace flowd::fireflyp {

Fireflyp::Fireflyp(Host& host, Options options)
    : Plugin(host),
      options_(std::move(options)),
      common_(host, options_),
      counters_(host,
                {
                    {"received", &tally_.received},
                    {"kernelDrops", &tally_.drops},
                    {"announced", "fireflyp_events_total", "Flow events announced, by state.",
                     Counters::by("state", Outbox::kinds, tally_.announced, 1)},
                    {"turnedAway", "fireflyp_turned_away_total", "Datagrams that were dropped without parsing, by reason.",
                     Counters::by("reason", turned_away_names, tally_.turned_away)},
                    {"refused", Counters::sum(tally_.refused)},
                    {"refusals", "fireflyp_refused_total", "Datagrams that were refused, by reason.",
                     Counters::by("reason", firefly::refusal_names, tally_.refused, 1).without_zeros()},
                    {"lost", &tally_.lost},
                    {"lostBySender", "fireflyp_lost_total", "Numbered fireflies that were lost, by sender.",
                     Counters::Source("sender",
                                      [this](const Counters::Visit& visit) {
                                          for (const auto& [sender, lost] : tally_.lost_by_sender)
                                              visit(sender.to_string(), lost);
                                          visit("others", tally_.lost_of_others);
                                      })
                         .without_zeros()},
                    {"notTaken", "fireflyp_not_taken_total", "Accepted fireflies whose event the core refused.",
                     &tally_.not_taken},
                    {"paused", [this] { return tally_.paused; }},
                    {"pauses", "fireflyp_pauses_total", "How often reading stopped because the queues were full.",
                     &tally_.pauses},
                }) {
    for (std::uint32_t index = 0; index < options_.readers; ++index) readers_.emplace_back(host, options_, common_, index);
}

Result<void> Fireflyp::prepare() {
    const std::vector<Endpoint> endpoints = options_.endpoints();
    for (const Endpoint& endpoint : endpoints) {
        auto opened = open(endpoint);
        // Without IPv6 in the kernel, or IPv4 in the network namespace, the other loopback address suffices.
        const bool is_last = addresses_.empty() && &endpoint == &endpoints.back();
        const bool spare = !options_.bind_address && endpoint.address.is_loopback() && !is_last;
        if (!opened && (!spare || opened.error().code == FLOWD_BUSY)) return opened;
        if (!opened) host().info(opened.error().message + "; it is not used");
    }
    return {};
}

Result<void> Fireflyp::open(const Endpoint& endpoint) {
    for (auto reader = readers_.begin(); reader != readers_.end(); ++reader) {
        auto opened = reader->open(endpoint);
        if (opened) continue;
        while (reader != readers_.begin()) (--reader)->drop_last_inlet();
        return opened;
    }
    const Inlet& first = readers_.front().inlets().back();
    addresses_.push_back(first.address());
    return options_.reuse_port ? Result<void>() : first.steer();
}

Result<void> Fireflyp::start() {
    if (options_.deadline.count() != 0) host().debug("deadline is not needed: receiving never waits");
    if (auto done = publisher_.start(); !done) return done;
    common_.relay.start();
    if (readers_.size() > 1)
        for (Reader& reader : readers_) reader.catch_up();
    for (Reader& reader : readers_)
        if (auto started = reader.start(); !started) return started;
    for (const std::string& address : addresses_) host().info("receiving fireflies at " + address);
    return {};
}

void Fireflyp::on_room() {
    for (Reader& reader : readers_) reader.on_room();
}

void Fireflyp::settle() {
    for (Reader& reader : readers_) reader.settle();
    common_.loops.settle();
}

Result<void> Fireflyp::stop(Deadline deadline) {
    for (Reader& reader : readers_) reader.halt();
    if (publisher_.is_running())
        for (Reader& reader : readers_) reader.drain(deadline);
    common_.relay.stop(deadline);
    if (deadline.reason() == FLOWD_STOP_FAILED && !options_.reuse_port) {
        for (Reader& reader : readers_)
            for (Inlet& inlet : reader.inlets()) (void)inlet.hand_over();
        for (const Inlet& inlet : readers_.front().inlets()) inlet.steer_back();
    }
    std::uint64_t left = 0;
    for (Reader& reader : readers_) left += reader.close();
    publisher_.stop();
    host().lost(left, "fireflies were not announced before the stop");
    return {};
}

void Fireflyp::count() const {
    tally_ = Tally();
    for (const Reader& reader : readers_) reader.add_to(tally_);
}

void Fireflyp::publish() {
    count();
    for (Reader& reader : readers_) reader.publish();
    counters_.publish();
    common_.relay.publish();
}

std::vector<Finding> Fireflyp::findings() const {
    std::vector<Finding> all;
    for (const Reader& reader : readers_) reader.add_findings(all);
    common_.relay.add_findings(all);
    return all;
}

std::vector<Finding> Fireflyp::host_findings(const Options& options, const Offline&) {
    std::vector<Finding> all;
    Relay::add_host_findings(all, options.receivers);
    return all;
}

void Fireflyp::status(json::Writer& object) const {
    count();
    object.member("summary", text::summary("listens on", addresses_));
    object.key("binds").array();
    for (const Reader& reader : readers_) reader.status(object);
    object.end();
    counters_.status(object);
    if (!tally_.last_error.empty()) object.member("lastError", tally_.last_error);
    common_.relay.status(object);
}

}  // namespace flowd::fireflyp
