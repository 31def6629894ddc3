// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/marking.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

namespace flowd::marker {
namespace {

/// Long enough for a daemon that is busy or stopped temporarily.
std::chrono::seconds lease_of(const Options& options) {
    return std::max(options.persist_idle, std::chrono::seconds(10));
}

bpf::Attachments::Purpose purpose_of(const Options& options, Program& program, const Pins* pins) {
    return {can_mark(options.strategy) ? "marking" : "counting",
            "marker",
            "marker",
            {{bpf::Direction::egress, program.ethernet(), [&program] { return program.raw_ip(); }}},
            {MARKER_ETHERNET_PROGRAM, MARKER_RAW_IP_PROGRAM},
            options.attach,
            options.remove_qdisc.value_or(!options.persist),
            pins != nullptr ? pins->links() : std::string(),
            [&program](const bpf::Link& link) -> std::optional<std::uint64_t> {
                const auto outcomes = program.outcomes(link.index);
                if (!outcomes) return std::nullopt;
                return std::accumulate(outcomes->begin(), outcomes->end(), std::uint64_t{0});
            }};
}

}  // namespace

bpf::InterfaceChoice choice_of(const Options& options) {
    return {options.target_interfaces, options.discover_interfaces, bpf::RouteFamily::ipv6};
}

Result<std::unique_ptr<Marking>> Marking::make(Host& host, const Options& options, const Pins* pins) {
    // Subscribed before the interfaces are listed, so that none that appears in between is missed.
    const bpf::Interfaces interfaces(choice_of(options));
    auto changes = bpf::subscribe(interfaces.groups());
    if (!changes) return std::move(changes).error();
    bpf::TcxPlaces places;
    if (const auto found = interfaces.find())
        places = bpf::places_on(found->present, {bpf::Direction::egress}, options.attach);
    const flowd_level level = options.debug_mode ? FLOWD_LEVEL_INFO : FLOWD_LEVEL_DEBUG;
    auto program = load_program(
        options, [&host, level](flowd_level, std::string_view line) { host.log(level, line); }, pins);
    if (!program) {
        Error error = std::move(program).error();
        if (!options.program_path.empty()) error.option = "programPath";
        return error;
    }
    std::unique_ptr<Marking> made(new Marking(host, options, pins, *std::move(program), *std::move(changes)));
    made->attachments_.use(std::move(places));
    if (made->program_.is_taken_over())
        if (auto adopted = made->table_.adopt(); !adopted) return std::move(adopted).error();
    made->table_.set_observe(options.mode == Mode::observe);
    made->table_.set_socket_tags(false);
    return made;
}

Marking::Marking(Host& host, const Options& options, const Pins* pins, Program program, nl::Subscription changes)
    : host_(host),
      interfaces_(choice_of(options)),
      is_named_(!options.target_interfaces.empty()),
      waits_(options.wait_for_interfaces),
      changes_(std::move(changes)),
      program_(std::move(program)),
      table_(program_, Marks(options), options.max_flows, lease_of(options)),
      attachments_(host, purpose_of(options, program_, pins)) {}

Error Marking::nothing_there() const {
    return Error{
        FLOWD_NOT_FOUND,
        std::string(is_named_ ? "none of these exists: " : "there is no such interface: ") + interfaces_.describe(),
        is_named_ ? "`ip -brief link` lists what exists; `waitForInterfaces: true` starts without"
                  : "name them in targetInterfaces; `waitForInterfaces: true` starts without",
        "targetInterfaces"};
}

Result<void> Marking::attach_first() {
    auto found = interfaces_.find();
    if (!found) return std::move(found).error();
    if (found->present.empty() && !waits_) return nothing_there();
    for (const std::string& name : found->missing)
        host_.warning("interface " + name + " does not exist; it is attached when it appears");
    auto failures = reconcile(*std::move(found));
    if (failures.empty()) return {};
    failures.front().error.option = "targetInterfaces";
    return std::move(failures.front().error);
}

void Marking::attach_again() {
    auto found = interfaces_.find();
    if (!found) return host_.report(Problem::from(found.error()));
    for (auto& failure : reconcile(*std::move(found))) {
        failure.error.option = "targetInterfaces";
        Problem problem = Problem::from(failure.error);
        problem.found = failure.link.name;
        host_.report(problem);
    }
}

std::vector<bpf::Attachments::Failure> Marking::reconcile(bpf::Interfaces::Found found) {
    auto changes = attachments_.reconcile(found.present);
    missing_ = std::move(found.missing);
    why_ = std::move(found.why);
    find_below();
    return std::move(changes.failures);
}

std::string Marking::why(const bpf::Link& link) const {
    const auto found = why_.find(link.index);
    return found != why_.end() ? found->second : std::string();
}

void Marking::find_below() {
    const auto all = bpf::links();
    if (!all) return host_.warning("the stacking of interfaces is unknown: " + all.error().message);
    const std::vector<bpf::Link> attached = attachments_.links();
    below_.clear();
    for (const bpf::Link& link : attached) below_.insert(link.index);
    for (const bpf::Link& link : bpf::uppermost(attached, *all)) below_.erase(link.index);
}

Result<Outcomes> Marking::totals() const {
    std::set<std::uint32_t> below;
    for (const int index : below_) below.insert(static_cast<std::uint32_t>(index) % MARKER_COUNTED_INTERFACES);
    Outcomes sum{};
    for (std::uint32_t slot = 0; slot < MARKER_COUNTED_INTERFACES; ++slot) {
        auto packets = program_.outcomes(static_cast<int>(slot));
        if (!packets) return packets;
        for (std::uint32_t outcome = 0; outcome < MARKER_OUTCOMES; ++outcome)
            if (is_marked(outcome) || !below.contains(slot)) sum[outcome] += (*packets)[outcome];
    }
    return sum;
}

Result<void> Marking::fill_from(const Marking& predecessor) {
    table_.set_socket_tags(predecessor.table_.reads_sockets());
    if (predecessor.table_.has_catch_all()) table_.set_catch_all(predecessor.table_.catch_all());
    if (auto done = refill(); !done) return done;
    table_.apply_catch_all();
    return {};
}

Result<bool> Marking::set_catch_all(std::optional<flowd_tag> tag) {
    const bool was_relied_on = table_.is_relied_on();
    bool fits = true;
    if (tag)
        fits = table_.set_catch_all(*tag);
    else
        table_.clear_catch_all();
    // The flows that it covered get entries first, so that they stay marked.
    if (was_relied_on)
        if (auto done = refill(); !done) return std::move(done).error();
    table_.apply_catch_all();
    return fits;
}

Result<void> Marking::look_into_sockets(bool on) {
    if (table_.reads_sockets() == on) return {};
    table_.set_socket_tags(on);
    // A flow that the catch-all covers may have another tag in its socket, which would have precedence.
    return on && table_.is_relied_on() ? refill() : Result<void>();
}

Result<void> Marking::refill() {
    has_lost_flows_ = false;
    return host_.flows().visit([this](const flowd_flow& flow) { return put(flow.key, flow.tag, flow.flags); });
}

bool Marking::put(const flowd_key& key, flowd_tag tag, std::uint32_t flags) {
    if (table_.put(key, tag, flags)) return true;
    has_lost_flows_ = true;
    return false;
}

}  // namespace flowd::marker
