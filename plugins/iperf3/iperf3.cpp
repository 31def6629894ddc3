// SPDX-License-Identifier: Apache-2.0
#include "plugins/iperf3/iperf3.hpp"

#include <netinet/in.h>

#include <chrono>
#include <unordered_set>
#include <utility>
#include <vector>

#include "flowd/counted.hpp"
#include "lib/diag/socket.hpp"
#include "lib/watch/host_findings.hpp"

namespace flowd::iperf3 {
namespace {

watch_rule rule_of(const Iperf3Options& options) {
    watch_rule rule = watch::any_connection();
    rule.local_low = options.min_source_port;
    if (options.max_source_port != 0) rule.local_high = options.max_source_port;
    rule.remote_low = options.min_destination_port;
    if (options.max_destination_port != 0) rule.remote_high = options.max_destination_port;
    rule.verdict = WATCH_NEXT;
    return rule;
}

std::vector<flowd_tag> tags_of(const Iperf3Options& options) {
    std::vector<flowd_tag> tags;
    for (std::size_t i = 0; i < options.experiments.size() && i < options.activities.size(); ++i)
        tags.push_back({options.experiments[i], options.activities[i]});
    return tags;
}

}  // namespace

Iperf3::Iperf3(Host& host, Options options)
    : Plugin(host),
      options_(std::move(options)),
      counters_(host,
                {
                    {"connections", [this] { return live_.size(); }},
                    {"started", "iperf3_started_total", "Connections that the iperf3 plugin announced.", &started_},
                    {"ended", "iperf3_ended_total", "Ends of connections that the iperf3 plugin announced.", &ended_},
                    {"missing", &missing_},
                    {"losses", &losses_},
                    {"refused", &outbox_.refused()},
                    {"pauses", &outbox_.pauses()},
                    {"paused", [this] { return outbox_.full(); }},
                }),
      watch_(host, [this](const watch::SocketEvent& event) { take(event); }) {}

std::vector<Finding> Iperf3::host_findings(const Options& options, const Offline&) {
    return watch::host_findings({"iperf3-capability-missing", "iperf3-kernel-feature-missing"}, options.cgroup_path);
}

void Iperf3::plan(const Options& options, const Connections& connections, Plan& plan, const Offline&) {
    const watch_rule rule = rule_of(options);
    const std::vector<flowd_tag> tags = tags_of(options);
    std::size_t index = 0;
    for (const flowd_connection& one : connections) {
        const std::size_t at = index++;
        const std::uint16_t local = one.key.source_port, remote = one.key.destination_port;
        if (one.key.protocol != IPPROTO_TCP || remote == 0) continue;
        if (local < rule.local_low || local > rule.local_high || remote < rule.remote_low || remote > rule.remote_high)
            (void)plan.add(at, {FLOWD_PLANNED_NOT, "Its ports are not in the configured ranges."});
        else if (tags.size() == 1)
            (void)plan.add(at, {FLOWD_PLANNED_FLOW, {}, tags.front()});
        else
            (void)plan.add(at, {FLOWD_PLANNED_ANY, "It gets a tag of the list when it opens."});
    }
}

Result<void> Iperf3::prepare() {
    return watch_.load(options_.cgroup_path, options_.program_path);
}

Result<void> Iperf3::start() {
    if (auto done = watch_.set_tags(tags_of(options_), options_.random_ids); !done) return done;
    if (auto done = watch_.set_rules({rule_of(options_)}); !done) return done;
    if (auto done = watch_.start(); !done) return done;
    return publisher_.start();
}

void Iperf3::make_up() {
    if (watch_.lost() > 0) {
        ++losses_;
        must_reconcile_ = true;
    }
    if (must_reconcile_ && !outbox_.full()) reconcile();
}

void Iperf3::take(const watch::SocketEvent& event) {
    if (event.opened) {
        if (live_.count(event.cookie) == 0) open(event);
    } else if (const auto found = live_.find(event.cookie); found != live_.end()) {
        end(found->second, event.usage, event.time_ns);
        live_.erase(found);
    }
}

void Iperf3::open(const watch::SocketEvent& event) {
    const std::uint8_t initiator = event.incoming ? FLOWD_INITIATOR_DESTINATION : FLOWD_INITIATOR_SOURCE;
    const watch::Announced connection{event.key(), event.tag, event.time_ns, watch::unix_time_of(event.time_ns), initiator};
    Event start = watch::start_of(connection);
    start.application("iperf3");
    if (!outbox_.put(std::move(start))) return;
    live_[event.cookie] = connection;
    ++started_;
}

void Iperf3::end(const watch::Announced& connection, const std::optional<flowd_usage>& usage, std::int64_t now) {
    outbox_.put(watch::end_of(connection, usage, now));
    ++ended_;
}

void Iperf3::reconcile() {
    auto socket = diag::Socket::open();
    if (!socket) return streak_.failed(socket.error().message);
    watch_.consume();
    const std::int64_t now = watch::monotonic_ns();
    std::unordered_set<std::uint64_t> there;
    const auto done = socket->dump({IPPROTO_TCP, 0, diag::connected_states()},
                                   [&](const diag::Connection& connection) { there.insert(connection.cookie); });
    if (!done) return streak_.failed(done.error().message);
    streak_.worked();
    must_reconcile_ = false;
    watch_.consume();  // ends that were reported meanwhile have their usage
    for (auto it = live_.begin(); it != live_.end();) {
        if (there.count(it->first) != 0 || it->second.start_ns >= now) {
            ++it;
            continue;
        }
        if (outbox_.full()) {
            must_reconcile_ = true;  // the others are ended when there is room
            return;
        }
        ++missing_;
        end(it->second, std::nullopt, now);
        it = live_.erase(it);
    }
}

Result<void> Iperf3::stop(Deadline deadline) {
    watch_.stop();
    outbox_.stop(deadline);
    return {};
}

void Iperf3::status(json::Writer& object) const {
    object.member("summary", "announces " + counted(live_.size(), "connection") + " in its port ranges");
    counters_.status(object);
    object.key("kernel").object();
    watch_.status(object);
    object.end();
}

}  // namespace flowd::iperf3
