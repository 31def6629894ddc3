// SPDX-License-Identifier: Apache-2.0
#include "plugins/netlink/netlink.hpp"

#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "flowd/counted.hpp"
#include "lib/net/receive_buffer.hpp"
#include "lib/net/tcp_info.hpp"
#include "lib/watch/host_findings.hpp"
#include "plugins/netlink/host_ids.hpp"
#include "plugins/netlink/kernel_rules.hpp"

namespace flowd::netlink {
namespace {

constexpr std::size_t notifications_per_turn = 1024;
constexpr std::size_t turns_per_look = 64;
constexpr std::uint8_t missed_until_ended = 2;
/// After this many dumps a delayed notification has arrived.
constexpr std::uint8_t missed_until_forgotten = 4;
constexpr std::chrono::seconds remembered{10};

/// States of a connection that both ends have established.
std::uint32_t established_states() {
    return diag::connected_states() & ~(diag::state_bit(TCP_SYN_SENT) | diag::state_bit(TCP_SYN_RECV));
}

/// Whether a destroyed socket had been an established connection.
bool was_established(const diag::Connection& closed) {
    if (closed.remote.port == 0) return false;
    if (closed.protocol != IPPROTO_TCP) return true;
    const auto usage = net::tcp_usage(closed.tcp_info);
    return net::rtt_us(closed.tcp_info) || (usage && (usage->bytes_sent > 0 || usage->bytes_received > 0));
}

std::uint8_t initiator_of(Direction direction) {
    switch (direction) {
        case Direction::outgoing:
            return FLOWD_INITIATOR_SOURCE;
        case Direction::incoming:
            return FLOWD_INITIATOR_DESTINATION;
        case Direction::any:
            break;
    }
    return FLOWD_INITIATOR_UNKNOWN;
}

/// A rule with an interface that does not exist matches no connection.
void add_missing_interfaces(std::vector<Finding>& all, const Rules& rules, const Surroundings& surroundings) {
    std::set<std::string> told;
    for (const Rule& rule : rules.list())
        if (!rule.interface.empty() && !surroundings.interfaces.contains(rule.interface) &&
            told.insert(rule.interface).second)
            all.push_back({FLOWD_LEVEL_WARNING, "netlink-interface-missing", rule.interface,
                           "the interface of a rule does not exist: the rule matches no connection",
                           "an interface of this name", "create it, or correct the rule"});
}

}  // namespace

Netlink::Netlink(Host& host, Options options)
    : Plugin(host),
      options_(std::move(options)),
      rules_(options_.rules, options_.fallback()),
      tracker_(options_.max_connections),
      candidates_(options_),
      counters_(host,
                {
                    {"connections", "netlink_plugin_connections", "Live connections that the netlink plugin has announced.",
                     [this] { return tracker_.announced(); }},
                    {"sockets", &sockets_},
                    {"receiveBuffer",
                     "netlink_plugin_receive_buffer_bytes",
                     "Receive buffer that the kernel granted for notifications of closed sockets.",
                     [this] { return listener_ ? listener_->receive_buffer() : 0; },
                     {},
                     "bytes"},
                    {"", "netlink_plugin_total", "Events of the netlink plugin by kind.",
                     Counters::by("event", count_names, counts_).flat()},
                    {"refused", &outbox_.refused()},
                    {"pauses", &outbox_.pauses()},
                    {"paused", [this] { return outbox_.full(); }},
                }),
      watch_(host, [this](const watch::SocketEvent& event) { told(event); }) {}

Result<void> Netlink::prepare() {
    auto socket = diag::Socket::open();
    if (!socket) return std::move(socket).error();
    auto listener = diag::DestroyListener::open(options_.udp, static_cast<int>(options_.receive_buffer));
    if (!listener) return std::move(listener).error();
    net::check_receive_buffer(host(), "the notifications of closed sockets", listener->receive_buffer(),
                              options_.receive_buffer);
    socket_ = *std::move(socket);
    listener_ = *std::move(listener);
    if (options_.early) prepare_early();
    return {};
}

std::vector<Finding> Netlink::findings() const {
    std::vector<Finding> all;
    if (options_.early && !watch_.running())
        all.push_back({FLOWD_LEVEL_WARNING,
                       "netlink-not-early",
                       {},
                       "connections are found once a period, not as they open: " + early_error_.message,
                       "early finds them as they open",
                       early_error_.hint.empty() ? "see its log, or write early: false" : early_error_.hint});
    add_missing_interfaces(all, rules_, surroundings_);
    return all;
}

std::vector<Finding> Netlink::host_findings(const Options& options, const Offline&) {
    std::vector<Finding> all;
    if (options.early) all = watch::host_findings(host_ids, options.cgroup_path);
    for (Finding& one : all) one.severity = FLOWD_LEVEL_WARNING;  // the plugin works without `early`
    host_ids.add_features(all, std::array<std::string_view, 1>{"tcp_diag"});
    if (options.udp) host_ids.add_features(all, std::array<std::string_view, 1>{"udp_diag"});
    const Rules rules(options.rules, options.fallback());
    add_missing_interfaces(all, rules, look_around(rules, 0));
    return all;
}

/// Optional: without it the plugin finds connections at its next dump, and they are marked from then on.
void Netlink::prepare_early() {
    const auto loaded = watch_.load(options_.cgroup_path, {});
    early_state_ = loaded ? "on" : "off: " + loaded.error().message;
    if (loaded) return;
    early_error_ = loaded.error();
    host().warning("connections are found only " + std::string("once a period, not as they open: ") +
                   loaded.error().message + (loaded.error().hint.empty() ? "" : " (" + loaded.error().hint + ")"));
}

Result<void> Netlink::start() {
    auto readable = host().watch(listener_->fd(), FLOWD_IO_READ, [this](std::uint32_t) { (void)hear(); });
    if (!readable) return std::move(readable).error();
    auto period = host().every(options_.period, [this] { (void)look(); });
    if (!period) return std::move(period).error();
    if (auto done = publisher_.start(); !done) return done;
    readable_ = *std::move(readable);
    period_ = *std::move(period);
    if (watch_.running()) {
        // Before the first dump, so that no connection opens between the two.
        surroundings_ = look_around(rules_);
        if (auto done = watch_.set_rules(for_kernel(rules_, surroundings_, candidates_.left_alone())); !done) return done;
        if (auto done = watch_.start(); !done) {
            watch_.stop();
            early_state_ = "off: " + done.error().message;
            early_error_ = done.error();
            host().warning("connections are found only once a period, not as they open: " + done.error().message);
        }
    }
    if (auto done = look(); !done) return done;
    host().info(counted(tracker_.announced(), "connection") + " announced of " + counted(sockets_, "socket"));
    return {};
}

void Netlink::look_soon() {
    if (auto soon = host().after(std::chrono::milliseconds(10), [this] { (void)look(); })) soon_ = *std::move(soon);
}

Result<void> Netlink::look() {
    if (outbox_.full()) return {};
    const auto began = std::chrono::steady_clock::now();
    surroundings_ = look_around(rules_);
    own_.refresh();
    candidates_.use_addresses(net::own_addresses());
    if (watch_.running()) {
        if (auto done = watch_.set_rules(for_kernel(rules_, surroundings_, candidates_.left_alone())); !done)
            last_error_ = done.error().message;
        if (pass_ > 0) watch_.consume();  // before the dump, so that new connections have their own start time
    }
    ++pass_;
    ++counts_[looks];
    auto done = dump_all();
    if (!done) {
        ++counts_[failed_looks];
        last_error_ = done.error().message;
        look_failures_.failed(last_error_);
        return done;
    }
    look_failures_.worked();
    // Connections that closed meanwhile end with their counts, not as missing: so all notifications are read first.
    if (hear_all() && !outbox_.full()) sweep();
    looked_ns_ = watch::monotonic_ns();
    last_look_ = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
    return {};
}

Result<void> Netlink::dump_all() {
    sockets_ = 0;
    candidates_.forget_listeners();
    // Listening sockets first, separately: they tell who connected to whom. The kernel walks a small table.
    auto listeners = socket_->dump({IPPROTO_TCP, 0, diag::state_bit(TCP_LISTEN)},
                                   [this](const diag::Connection& listener) { candidates_.add_listener(listener.local); });
    if (!listeners) return listeners;
    const auto visit = [this](const diag::Connection& connection) {
        ++sockets_;
        seen(connection);
    };
    if (auto tcp = socket_->dump({IPPROTO_TCP, 0, established_states()}, visit); !tcp) return tcp;
    if (!options_.udp) return {};
    return socket_->dump({IPPROTO_UDP, 0, diag::state_bit(TCP_ESTABLISHED)}, visit);
}

bool Netlink::in_question(const diag::Connection& connection, Direction direction) const {
    if (connection.remote.port == 0 || connection.remote.address.is_unspecified()) return false;
    if (own_.has(connection.cookie)) return false;
    if (connection.protocol == IPPROTO_TCP && own_.listens_on(connection.local)) return false;
    return !candidates_.exclusion(connection.remote, direction);
}

void Netlink::seen(const diag::Connection& connection) {
    if (Tracked* const known = tracker_.find(connection.cookie)) {
        known->pass = pass_;
        known->missed = 0;
        return;
    }
    const Direction direction = direction_of(connection);
    if (outbox_.full() || !in_question(connection, direction)) return;
    Tracked found;
    found.key = connection.key();
    found.pass = pass_;
    found.initiator = initiator_of(direction);
    if (pass_ == 1 && !options_.announce_existing) {
        if (tracker_.add(connection.cookie, found) == nullptr) refuse(over_limit, found.key);
        return;
    }
    const Facts facts{connection.local, connection.remote, direction,
                      connection.user,  connection.cgroup, connection.interface};
    const Decision decision = rules_.decide(facts, surroundings_);
    if (decision.kind != Decision::Kind::tagged) return;
    found.tag = decision.tag;
    found.rule = decision.rule;
    found.start_ns = watch::monotonic_ns();
    begin(connection.cookie, found);
}

void Netlink::sweep() {
    const std::int64_t now = watch::monotonic_ns();
    const auto time = std::chrono::steady_clock::now();
    const std::uint8_t enough = std::exchange(lost_, false) ? std::uint8_t{1} : missed_until_ended;
    std::vector<std::uint64_t> over;
    tracker_.sweep([&](std::uint64_t cookie, Tracked& connection) {
        if (connection.pass == pass_) return true;
        if (connection.missed == 0) connection.missing_since = time;
        if (connection.missed < missed_until_forgotten) ++connection.missed;
        if (connection.announced && connection.missed >= enough && !outbox_.full()) {
            ++counts_[missing];
            end(connection, std::nullopt, now);
            over.push_back(cookie);
        }
        return connection.announced || connection.missed < missed_until_forgotten ||
               time - connection.missing_since < remembered;
    });
    for (const std::uint64_t cookie : over) tracker_.silence(cookie);  // its notification may still arrive
}

bool Netlink::hear_all() {
    for (std::size_t turn = 0; turn < turns_per_look; ++turn)
        if (!hear()) return true;
    return false;  // the next dump sweeps
}

/// Whether there may be more to read.
bool Netlink::hear() {
    if (outbox_.full()) return false;
    const auto heard =
        listener_->receive(notifications_per_turn, [this](const diag::Connection& connection) { closed(connection); });
    if (!heard) {
        last_error_ = heard.error().message;
        hear_failures_.failed(last_error_);
        return false;
    }
    hear_failures_.worked();
    if (heard->lost || watch_.lost() != 0) {
        ++counts_[losses];
        if (!std::exchange(lost_, true)) look_soon();
    }
    return heard->more;
}

void Netlink::told(const watch::SocketEvent& event) {
    if (event.opened) {
        opened(event);
    } else if (Tracked* const known = tracker_.find(event.cookie)) {
        known->fin = event.fin_received ? 1 : 0;  // the end follows, with the kernel's last counts
    }
}

void Netlink::opened(const watch::SocketEvent& event) {
    if (tracker_.find(event.cookie) != nullptr) return;
    diag::Connection connection;
    connection.local = event.local;
    connection.remote = event.remote;
    connection.protocol = IPPROTO_TCP;
    connection.cookie = event.cookie;
    const Direction direction = event.incoming ? Direction::incoming : Direction::outgoing;
    // The daemon may have opened this socket after the last dump.
    if (event.user == ::geteuid())
        own_.refresh(std::chrono::nanoseconds(std::max<std::int64_t>(0, watch::monotonic_ns() - event.time_ns)));
    if (!in_question(connection, direction)) return;
    Tracked found;
    found.key = event.key();
    found.pass = pass_;
    found.initiator = initiator_of(direction);
    found.start_ns = event.time_ns;
    found.tag = event.tag;
    const Facts facts{event.local, event.remote, direction, event.user, event.cgroup, event.interface};
    const Decision decision = rules_.decide(facts, surroundings_);
    if (!event.decided) {
        if (decision.kind != Decision::Kind::tagged) return;
        found.tag = decision.tag;
    }
    // The kernel's program decides by the same rules, but does not report which one; names may have changed meanwhile.
    if (decision.kind == Decision::Kind::tagged && same_tag(decision.tag, found.tag)) found.rule = decision.rule;
    if (begin(event.cookie, found)) ++counts_[early];
}

void Netlink::closed(const diag::Connection& connection) {
    watch_.consume();  // the kernel reported its open and a FIN before this
    const Tracked* const known = tracker_.find(connection.cookie);
    if (known == nullptr) {
        if (was_established(connection)) closed_unseen(connection);
        return;
    }
    if (known->announced) {
        ++counts_[ended];
        end(*known, net::tcp_usage(connection.tcp_info, known->fin != 0), watch::monotonic_ns());
        tracker_.silence(connection.cookie);  // the report of its open may still arrive
    } else {
        tracker_.erase(connection.cookie);
    }
}

void Netlink::closed_unseen(const diag::Connection& connection) {
    const Direction direction = direction_of(connection);
    if (!in_question(connection, direction)) return;
    const Facts facts{connection.local, connection.remote, direction, std::nullopt, std::nullopt, connection.interface};
    const Decision decision = rules_.decide(facts, surroundings_);
    if (decision.kind == Decision::Kind::undecided) refuse(undecided, connection.key());
    if (decision.kind != Decision::Kind::tagged) return;
    Tracked found;
    found.key = connection.key();
    found.tag = decision.tag;
    found.rule = decision.rule;
    found.initiator = initiator_of(direction);
    if (tracker_.holder(found.key) != 0) {
        ++counts_[reused];  // the next connection uses its ports: this end must not end that flow
        return;
    }
    const std::int64_t now = watch::monotonic_ns();
    const std::int64_t quiet = std::int64_t{net::tcp_quiet_ms(connection.tcp_info)} * 1'000'000;
    found.start_ns = std::max(now - quiet, std::min(looked_ns_, now));
    if (!begin(connection.cookie, found)) return;
    ++counts_[unseen];
    ++counts_[ended];
    end(found, net::tcp_usage(connection.tcp_info), now);
    tracker_.silence(connection.cookie);
}

bool Netlink::begin(std::uint64_t cookie, Tracked& connection) {
    if (const std::uint64_t before = tracker_.holder(connection.key)) {
        ++counts_[reused];
        end(*tracker_.find(before), std::nullopt, connection.start_ns);
        tracker_.silence(before);
    }
    connection.announced = true;
    connection.start_unix_ns = watch::unix_time_of(connection.start_ns);
    if (tracker_.add(cookie, connection) == nullptr) {
        refuse(over_limit, connection.key);
        return false;
    }
    Event start = watch::start_of(connection);
    start.rule(rule_name({Decision::Kind::tagged, connection.tag, connection.rule}));
    if (!outbox_.put(std::move(start))) {
        tracker_.erase(cookie);  // the next dump offers it again
        return false;
    }
    ++counts_[started];
    return true;
}

void Netlink::refuse(Count reason, const flowd_key& connection) {
    ++counts_[reason];
    host().refused(reason == over_limit ? "over_limit" : "undecided", destination_of(connection).to_string(),
                   "connection of " + source_of(connection).to_string());
}

void Netlink::end(const Tracked& connection, const std::optional<flowd_usage>& usage, std::int64_t now) {
    outbox_.put(watch::end_of(connection, usage, now));
}

void Netlink::read(bool has_room) {
    const std::uint32_t conditions = has_room ? FLOWD_IO_READ : 0;
    if (auto done = readable_.conditions(conditions); !done) last_error_ = done.error().message;
    watch_.pause(!has_room);
    if (has_room) look_soon();
}

Result<void> Netlink::stop(Deadline deadline) {
    readable_.reset();
    period_.reset();
    soon_.reset();
    watch_.stop();
    outbox_.stop(deadline);
    publisher_.stop();
    return {};
}

void Netlink::explain(const FlowBatch& flows, Explanations& explanations) const {
    std::size_t index = 0;
    for (const flowd_flow& flow : flows) explain(index++, flow, explanations);
}

void Netlink::explain(std::size_t index, const flowd_flow& flow, Explanations& explanations) const {
    if (const Tracked* const known = tracker_.announced_with(flow.key)) {
        const std::string rule = rule_name({Decision::Kind::tagged, known->tag, known->rule});
        Explanation tagged{text_of(Verdict::tagged).word, rule,
                           rule.empty() ? "The plugin's own experiment and activity give the tag: no rule matches."
                                        : "It is the first rule that matches.",
                           known->start_unix_ns};
        tagged.tag = known->tag;
        return (void)explanations.add(index, tagged);
    }
    // Nothing is said of the many flows of others.
    if (flow.flow_id != 0) return;
    const auto refuse = [&](Verdict verdict, const Decision& decision = {}) {
        (void)explanations.add(index, {text_of(verdict).word, rule_name(decision), text_of(verdict).text, 0, true});
    };
    Endpoint local = source_of(flow.key), remote = destination_of(flow.key);
    if (flow.key.protocol != IPPROTO_TCP && (flow.key.protocol != IPPROTO_UDP || !options_.udp))
        return refuse(Verdict::protocol);
    if (!candidates_.is_own_address(local.address)) std::swap(local, remote);
    if (!candidates_.is_own_address(local.address)) return refuse(Verdict::not_local);
    if (own_.listens_on(local)) return refuse(Verdict::own);
    const Direction direction = candidates_.direction_of(flow.key.protocol, local);
    if (const auto excluded = candidates_.exclusion(remote, direction)) return refuse(*excluded);
    if (tracker_.knows(flow.key)) return refuse(Verdict::existing);
    const Decision decision = rules_.decide({local, remote, direction, std::nullopt, std::nullopt, 0}, surroundings_);
    if (decision.kind != Decision::Kind::tagged) return refuse(verdict_of(decision), decision);
    const std::string rule = rule_name(decision);
    Explanation not_seen{text_of(Verdict::not_seen).word, rule, text_of(Verdict::not_seen).text, 0, true};
    not_seen.tag = decision.tag;
    (void)explanations.add(index, not_seen);
}

void Netlink::plan(const Options& options, const Connections& connections, Plan& plan, const Offline&) {
    const Rules rules(options.rules, options.fallback());
    const Surroundings now = look_around(rules);
    Candidates candidates(options);
    candidates.use_addresses(net::own_addresses());
    for (const flowd_connection& one : connections)
        if (one.key.protocol == IPPROTO_TCP && one.state == TCP_LISTEN) candidates.add_listener(source_of(one.key));
    std::size_t index = 0;
    for (const flowd_connection& one : connections) {
        const std::size_t at = index++;
        const Endpoint local = source_of(one.key), remote = destination_of(one.key);
        if (remote.port == 0 || one.state == TCP_LISTEN) continue;
        const auto refuse = [&](Verdict verdict, const Decision& decision = {}) {
            (void)plan.add(at, {FLOWD_PLANNED_NOT, text_of(verdict).text, {}, rule_name(decision)});
        };
        if (one.key.protocol != IPPROTO_TCP && (one.key.protocol != IPPROTO_UDP || !options.udp)) {
            refuse(Verdict::protocol);
            continue;
        }
        const Direction direction = candidates.direction_of(one.key.protocol, local);
        if (const auto excluded = candidates.exclusion(remote, direction)) {
            refuse(*excluded);
            continue;
        }
        Facts facts{local, remote, direction, std::nullopt, std::nullopt, one.interface};
        if ((one.known & FLOWD_CONNECTION_USER) != 0) facts.user = one.user;
        if ((one.known & FLOWD_CONNECTION_CGROUP) != 0) facts.cgroup = one.cgroup;
        const Decision decision = rules.decide(facts, now);
        if (decision.kind != Decision::Kind::tagged)
            refuse(verdict_of(decision), decision);
        else
            (void)plan.add(at, {FLOWD_PLANNED_FLOW, {}, decision.tag, rule_name(decision)});
    }
}

std::string Netlink::summary() const {
    return "announces " + counted(tracker_.announced(), "connection") +
           (watch_.running() ? ", found as they open"
                             : ", found by a look every " + std::to_string(options_.period.count()) + " s");
}

void Netlink::status(json::Writer& object) const {
    object.member("summary", summary());
    counters_.status(object);
    object.member("secondsOfLastLook", std::chrono::duration<double>(last_look_).count());
    object.key("kernel").object();
    object.member("state", early_state_);
    if (watch_.running()) watch_.status(object);
    object.end();
    if (!last_error_.empty()) object.member("lastError", last_error_);
}

}  // namespace flowd::netlink
