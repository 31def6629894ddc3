// SPDX-License-Identifier: Apache-2.0
#include "plugins/perfsonar/metering.hpp"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "flowd/counted.hpp"
#include "lib/kernel/features.hpp"
#include "lib/text/summary.hpp"

namespace flowd::perfsonar {
namespace {

/// Kernel events are collected for this time: at a thousand connections per second there are fifty wake-ups.
constexpr std::chrono::milliseconds drain_delay{20};

std::int64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);  // the clock of bpf_ktime_get_ns, which the BPF programs use
    return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

bpf::Attachments::Purpose purpose_of(const PerfsonarOptions& options, MeterProgram& program) {
    return {"metering",
            "meter",
            "perfsonar",
            program.hooks(),
            MeterProgram::program_names(),
            options.attach,
            true,
            {},
            [&program](const bpf::Link&) -> std::optional<std::uint64_t> {
                const auto counts = program.counts();
                if (!counts) return std::nullopt;
                return std::accumulate(counts->begin(), counts->end(), std::uint64_t{0},
                                       [](std::uint64_t sum, const auto& each) { return sum + each[METER_OUT].packets; });
            }};
}

Error with_remedy(Error error) {
    if (error.code == FLOWD_DENIED) error.hint += "; or set `flows: false`, which needs no privileges";
    return error;
}

}  // namespace

Result<std::unique_ptr<Metering>> Metering::make(Host& host, const PerfsonarOptions& options) {
    auto program = MeterProgram::load(options.max_flows,
                                      [&host](flowd_level, std::string_view line) { host.log(FLOWD_LEVEL_DEBUG, line); });
    if (!program) return with_remedy(std::move(program).error());
    // Subscribed before the interfaces are listed, so that none that appears in between is missed.
    auto changes = bpf::subscribe(bpf::Interfaces(options.interface_choice()).groups());
    if (!changes) return std::move(changes).error();
    std::unique_ptr<Metering> made(new Metering(host, options, *std::move(program), *std::move(changes)));
    auto ring = made->program_.events([events = &made->events_](std::span<const std::byte> record) {
        if (record.size() < sizeof(meter_event)) return;
        std::memcpy(&events->emplace_back(), record.data(), sizeof(meter_event));
    });
    if (!ring) return std::move(ring).error();
    made->ring_.emplace(*std::move(ring));
    if (auto done = made->attach_first(); !done) return with_remedy(std::move(done).error());
    return made;
}

Metering::Metering(Host& host, const PerfsonarOptions& options, MeterProgram program, nl::Subscription changes)
    : host_(host),
      options_(options),
      interfaces_(options.interface_choice()),
      changes_(std::move(changes)),
      program_(std::move(program)),
      slots_(program_),
      keeper_(host, slots_, options, monotonic_ns()),
      attachments_(std::make_unique<bpf::Attachments>(host, purpose_of(options, program_))),
      counters_(host, rows()) {
    apply();
}

std::vector<Counters::Row> Metering::rows() {
    std::vector<Counters::Row> rows{
        {"metered", "perfsonar_metered_flows", "Flows in the meter's table.", [this] { return keeper_.metered(); }},
        {"announced", "perfsonar_announced_flows", "Flows in the meter's table that are announced.",
         [this] { return keeper_.announced(); }},
        {"maxFlows", [this] { return program_.state().max_flows; }},
        {"waitingEvents", [this] { return keeper_.waiting(); }},
        {"flows", "perfsonar_flows_total", "Metered flows by result.",
         Counters::Source("result",
                          [this](const Counters::Visit& visit) {
                              const FlowKeeper::Counts& counts = keeper_.counts();
                              visit("started", counts.started);
                              visit("ended", counts.ended);
                              visit("own", counts.own);
                              visit("excluded", counts.excluded);
                              visit("refused", counts.refused);
                              visit("silent", counts.silent);
                          })},
        {"scans", "perfsonar_scans_total", "Scans of the whole table after messages were lost.", &keeper_.counts().scans},
    };
    for (std::uint32_t outcome = 0; outcome < METER_OUTCOMES; ++outcome) {
        const auto by_direction = [this, outcome](auto member) {
            return Counters::Source("direction", [this, outcome, member](const Counters::Visit& visit) {
                visit("out", outcomes_[outcome][METER_OUT].*member);
                visit("in", outcomes_[outcome][METER_IN].*member);
            });
        };
        const Labels labels{{"outcome", outcome_name(outcome)}};
        rows.push_back({"", "perfsonar_packets_total", "Packets by outcome.", by_direction(&meter_count::packets), labels});
        rows.push_back({"", "perfsonar_frame_bytes_total", "Bytes of their frames, as an interface counts them.",
                        by_direction(&meter_count::bytes), labels, "bytes"});
    }
    return rows;
}

void Metering::apply() {
    // A table with flows cannot grow, and losing them in a reload would be worse than waiting for a restart.
    const std::uint32_t made_for = program_.room();
    if (options_.max_flows > made_for)
        host_.warning("maxFlows is " + std::to_string(made_for) + " until the next start: the table was made for so many");
    meter_state& state = program_.state();
    __atomic_store_n(&state.max_flows, std::min(options_.max_flows, made_for), __ATOMIC_RELAXED);
    __atomic_store_n(&state.min_packets, options_.min_packets, __ATOMIC_RELAXED);
    __atomic_store_n(&state.min_bytes, options_.min_bytes, __ATOMIC_RELAXED);
}

Result<std::vector<bpf::Link>> Metering::find() {
    auto found = interfaces_.find();
    if (!found) return std::move(found).error();
    auto all = bpf::links();
    if (!all) return std::move(all).error();
    add_marked(*found, *all);
    missing_ = std::move(found->missing);
    why_ = std::move(found->why);
    chosen_ = std::move(found->present);
    return bpf::uppermost(chosen_, *all);
}

void Metering::add_marked(bpf::Interfaces::Found& found, const std::vector<bpf::Link>& all) const {
    if (!options_.interfaces.empty()) return;
    for (const Interfaces::Interface& marked : host_.interfaces().list()) {
        if (marked.use != FLOWD_INTERFACE_MARKS || marked.index == 0) continue;
        const auto is_it = [&](const bpf::Link& link) { return static_cast<std::uint32_t>(link.index) == marked.index; };
        const auto link = std::find_if(all.begin(), all.end(), is_it);
        if (link == all.end() || found.why.contains(link->index)) continue;
        found.present.push_back(*link);
        found.why[link->index] = "marked by " + marked.instance;
    }
}

std::string Metering::why(const bpf::Link& link) const {
    const auto found = why_.find(link.index);
    return found != why_.end() ? found->second : std::string();
}

void Metering::tell_interfaces() {
    std::vector<Interfaces::Interface> all;
    for (const auto& state : attachments_->states())
        all.push_back(
            {FLOWD_INTERFACE_METERS, static_cast<std::uint32_t>(state.link.index), state.link.name, why(state.link)});
    for (const std::string& name : missing_) all.push_back({FLOWD_INTERFACE_METERS, 0, name, "configured"});
    if (auto done = host_.interfaces().publish(all); !done) host_.warning(done.error().message);
}

Result<void> Metering::attach_first() {
    auto chosen = find();
    if (!chosen) return std::move(chosen).error();
    if (chosen->empty() && !options_.interfaces.empty() && !options_.wait_for_interfaces)
        return Error{FLOWD_NOT_FOUND, "none of these exists: " + interfaces_.describe(),
                     "`ip -brief link` lists what exists; `waitForInterfaces: true` starts without", "interfaces"};
    for (const std::string& name : missing_)
        host_.warning("interface " + name + " does not exist; it is metered when it appears");
    auto changes = attachments_->reconcile(*chosen);
    if (!changes.failures.empty()) {
        changes.failures.front().error.option = "interfaces";
        return std::move(changes.failures.front().error);
    }
    if (auto swept = attachments_->sweep(); !swept)
        host_.warning("leftovers could not be searched for: " + swept.error().message);
    return {};
}

void Metering::attach_again() {
    if (const auto chosen = find())
        attach(*chosen);
    else
        host_.report(Problem::from(chosen.error()));
    if (attachments_->is_busy()) attach_soon_.call_after(bpf::Attachments::busy_period);
}

void Metering::attach(const std::vector<bpf::Link>& chosen) {
    auto changes = attachments_->reconcile(chosen);
    for (const bpf::Link& link : changes.detached)
        keeper_.interface_gone(static_cast<std::uint32_t>(link.index), monotonic_ns());
    for (auto& failure : changes.failures) {
        failure.error.option = "interfaces";
        Problem problem = Problem::from(failure.error);
        problem.found = failure.link.name;
        host_.report(problem);
    }
    tell_interfaces();
}

Result<void> Metering::start() {
    auto ring = host_.watch(ring_->fd(), FLOWD_IO_READ, [this](std::uint32_t) {
        auto later = host_.after(drain_delay, [this] {
            drain();
            (void)ring_watch_.conditions(FLOWD_IO_READ);
        });
        if (!later) return drain();
        drain_timer_ = *std::move(later);
        (void)ring_watch_.conditions(0);
    });
    if (!ring) return std::move(ring).error();
    ring_watch_ = *std::move(ring);
    if (auto done = publisher_.start(); !done) return done;
    attach_marked();
    return follow();
}

/// Instances that mark have published their interfaces in prepare, so that once all have started no packet is marked and
/// not metered.
void Metering::attach_marked() {
    if (!options_.interfaces.empty()) return;
    attach_again();
    if (attachments_->states().empty())
        host_.warning("no interface is metered: there is no default route, and no instance marks");
}

Result<void> Metering::follow() {
    auto changes = host_.watch(changes_.fd(), FLOWD_IO_READ, [this](std::uint32_t) {
        if (changes_.drain()) attach_soon_.call();
    });
    if (!changes) return std::move(changes).error();
    change_watch_ = *std::move(changes);
    tell_interfaces();
    auto marked = host_.interfaces().on_change([this] {
        if (options_.interfaces.empty()) attach_soon_.call();
    });
    if (!marked) return std::move(marked).error();
    marked_ = *std::move(marked);
    return attachments_->guard();
}

void Metering::drain() {
    events_.clear();
    ring_->drain();
    keeper_.on_events(events_, monotonic_ns());
}

void Metering::tick() {
    drain();
    const std::uint32_t lost = __atomic_load_n(&program_.state().lost_events, __ATOMIC_RELAXED);
    if (std::exchange(lost_events_, lost) != lost) keeper_.scan(monotonic_ns());
    keeper_.tick(monotonic_ns());
}

Result<void> Metering::reconfigure(const PerfsonarOptions& options) {
    bpf::Interfaces interfaces(options.interface_choice());
    auto changes = bpf::subscribe(interfaces.groups());
    if (!changes) return std::move(changes).error();
    if (options.attach != options_.attach) {
        // Before the old hooks are left: with both, packets would be counted twice.
        if (const auto feature = kernel::Features().lacking(bpf::requirement_of(options.attach))) {
            Error error = feature->error();
            error.option = "attach";
            return error;
        }
        attachments_ = std::make_unique<bpf::Attachments>(host_, purpose_of(options, program_));
    }
    change_watch_.reset();
    attach_soon_.cancel();
    interfaces_ = std::move(interfaces);
    changes_ = *std::move(changes);
    options_ = options;
    apply();
    attach_again();
    keeper_.reconfigure(options, monotonic_ns());
    return follow();
}

void Metering::stop(const Deadline& deadline) {
    ring_watch_.reset();
    change_watch_.reset();
    marked_.reset();
    attach_soon_.cancel();
    drain_timer_.reset();
    attachments_->detach_all();
    drain();
    keeper_.end_all();
    deadline.await([this] { return keeper_.offer(); });
    host_.lost(keeper_.unannounced(), "flows were not announced before the stop");
    publisher_.stop();
}

void Metering::publish() {
    const auto outcomes = program_.counts();
    if (outcomes) outcomes_ = *outcomes;
    counters_.publish();
    const meter_count& no_room = outcomes_[METER_NO_ROOM][METER_OUT];
    if (no_room.packets > no_room_) last_no_room_ = std::chrono::steady_clock::now();
    no_room_ = no_room.packets;
    if (no_room.packets == 0 || std::exchange(said_full_, true)) return;
    host_.error("the table of " + std::to_string(program_.state().max_flows) +
                " flows is full: further flows are not metered until others end; raise maxFlows");
}

std::string Metering::summary() const {
    std::vector<std::string> names;
    for (const auto& state : attachments_->states()) names.push_back(state.link.name);
    if (names.empty()) return "waits for an interface";
    return text::summary("meters " + counted(keeper_.announced(), "flow") + " on", names);
}

void Metering::status(json::Writer& object) const {
    counters_.status(object);
    object.key("packets").object();
    if (const auto outcomes = program_.counts()) {
        for (std::uint32_t outcome = 0; outcome < METER_OUTCOMES; ++outcome) {
            const auto& [out, in] = (*outcomes)[outcome];
            object.key(outcome_name(outcome)).object();
            object.member("packetsOut", out.packets);
            object.member("packetsIn", in.packets);
            object.member("frameBytesOut", out.bytes);
            object.member("frameBytesIn", in.bytes);
            object.end();
        }
    }
    object.end();
    object.key("interfaces").array();
    for (const auto& state : attachments_->states()) {
        object.object();
        object.member("interface", state.link.name);
        object.member("chosenBy", why(state.link));
        object.member("hook", state.hook);
        bpf::write_hook(object, state);
        object.end();
    }
    for (const std::string& name : missing_) {
        object.object();
        object.member("interface", name);
        object.member("hook", "absent");
        object.end();
    }
    object.end();
}

}  // namespace flowd::perfsonar
