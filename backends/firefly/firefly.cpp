// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/firefly.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "lib/firefly/event.hpp"
#include "lib/firefly/host_name.hpp"

namespace flowd::firefly_backend {
namespace {

/// The live flows are sent in this many parts per period of `ongoing`, so that a host with many flows does not send bursts.
constexpr std::uint64_t slices = 60;

/// Up to this number, all live flows are sent to a new collector in one part.
constexpr std::uint64_t small_slice = 1000;

/// The share of a collector's queue that an introduction may use, so that there is room for events.
constexpr std::size_t introduction_room = net::Target::default_queue / 2;

/// Time limit for the queue of a collector that a reload removes.
constexpr std::chrono::seconds patience{1};

[[nodiscard]] firefly::Layout layout_of(const FireflyOptions& options, const Collector& configured) {
    return {configured.prepend_syslog.value_or(options.prepend_syslog),
            configured.max_size.value_or(options.max_size),
            {configured.privacy.omit_application, configured.privacy.truncate_addresses}};
}

template <typename Counts>
[[nodiscard]] std::vector<Counters::Row> rows_of(Counts counts) {
    return {{"", "firefly_sent_total", "Fireflies passed to the kernel.", [counts] { return counts().sent; }},
            {"", "firefly_failed_total", "Fireflies that the kernel refused.", [counts] { return counts().failed; }},
            {"", "firefly_dropped_total", "Fireflies that were dropped because the queue was full.",
             [counts] { return counts().dropped; }},
            {"", "firefly_refused_total", "Errors of a collector or of the path to it.",
             [counts] { return counts().refused; }}};
}

}  // namespace

flowd_event ongoing_of(const flowd_flow& flow) {
    flowd_event event{};
    event.size = sizeof event;
    event.kind = FLOWD_EVENT_ONGOING;
    event.flags = flow.flags;
    event.local = flow.local;
    event.flow_id = flow.flow_id;
    event.key = flow.key;
    event.tag = flow.tag;
    event.start_time_ns = flow.start_time_ns;
    event.usage = flow.usage;
    event.application = flow.application;
    return event;
}

FireflyBackend::FireflyBackend(Host& host, Options options)
    : Backend(host),
      options_(std::move(options)),
      stun_(host, [this] { composer_->use(options_.enrichment_mode, public_addresses()); }),
      destinations_(host),
      destination_counters_(host, rows_of([this] { return destinations_.counts(); }), {{"target", "destinations"}}),
      counters_(
          host,
          {
              {"skipped", "firefly_skipped_total", "Fireflies that were not sent, by reason.",
               Counters::by("reason", skip_names, skipped_).without_zeros()},
              {"unnumbered", "firefly_unnumbered_total", "Fireflies sent without the member flowd, because it did not fit.",
               &unnumbered_},
              {"blocksLeftOut", "firefly_blocks_left_out_total", "Optional blocks that did not fit into a datagram.",
               [this] { return composer_ ? composer_->left_out() : 0; }},
              {"blocksShortened", "firefly_blocks_shortened_total", "Optional blocks of which only a shorter form fitted.",
               [this] { return composer_ ? composer_->shortened() : 0; }},
              {"badBlocks", "firefly_bad_blocks_total", "Attachments that cannot be repeated in a firefly.",
               [this] { return composer_ ? composer_->bad_blocks() : 0; }},
          }) {
    for (const auto& configured : options_.all_collectors()) collectors_.push_back(make_collector(options_, configured));
}

FireflyBackend::Collector FireflyBackend::make_collector(const Options& options,
                                                         const firefly_backend::Collector& configured) {
    net::Target::Schedule schedule;
    schedule.again = options.resolve_interval;
    auto made = std::make_unique<net::Target>(configured.address, configured.port, net::system_lookup(), schedule);
    const net::Target& target = *made;
    auto rows = rows_of([&target] { return target.sender().counts(); });
    rows.push_back({"", "firefly_collector_up", "1 while fireflies are sent to a collector, 0 while they are queued.",
                    [&target] { return target.state() == net::Target::State::sending; }});
    auto counters = std::make_unique<Counters>(host(), std::move(rows), Labels{{"target", target.name()}});
    auto hosted = std::make_unique<net::HostedTarget>(host(), std::move(made),
                                                      [this](const Endpoint& endpoint) { return own_.includes(endpoint); });
    return {std::move(hosted),   layout_of(options, configured), configured.privacy.only_registered_tags,
            std::move(counters), firefly::Stream(boot_),         std::uint64_t{1} << (collectors_made_++ % 64)};
}

Result<void> FireflyBackend::prepare() {
    firefly::PrinterOptions printer;
    printer.host = firefly::host_name();
    printer.application = "flowd-cpp v" + std::string(host().core_version());
    composer_.emplace(std::move(printer), options_.enrichment_mode, public_addresses(), unix_time_ns());
    if (options_.sends_to_destinations()) destinations_.open();
    return {};
}

Result<void> FireflyBackend::start() {
    if (auto done = publisher_.start(); !done) return done;
    auto ongoing = ongoing_timer(options_);
    if (!ongoing) return std::move(ongoing).error();
    ongoing_ = std::move(*ongoing);
    begin_sending(collectors_);
    return {};
}

/// With `dryRun` no name is resolved and no server queried either.
void FireflyBackend::begin_sending(const std::vector<Collector>& collectors) {
    stun_.use(options_.dry_run ? std::vector<StunServer>() : options_.stun.all_servers());
    if (options_.dry_run) return;
    for (const Collector& collector : collectors) collector.target->start();
}

firefly::Composer::Mapping FireflyBackend::public_addresses() const {
    firefly::Composer::Mapping mapping;
    for (const auto& [local, global] : options_.stun.manual_mapping)
        if (const auto address = Address::parse(local)) mapping.emplace(*address, global);
    // A configured mapping has precedence.
    if (const auto& learnt = stun_.learnt(); learnt && learnt->local != learnt->global)
        mapping.emplace(learnt->local, learnt->global);
    return mapping;
}

Result<Timer> FireflyBackend::ongoing_timer(const Options& options) {
    if (options.ongoing.count() == 0 || options.dry_run) return Timer();
    return host().every(std::chrono::nanoseconds(options.ongoing) / slices, [this] { send_ongoing(); });
}

Result<void> FireflyBackend::reconfigure(Options options) {
    auto ongoing = ongoing_timer(options);
    if (!ongoing) return std::move(ongoing).error();
    if (options.sends_to_destinations() && !options_.sends_to_destinations()) destinations_.open();
    std::vector<Collector> leaving = std::exchange(collectors_, {}), fresh;
    const Introduction whole_table{std::clamp<std::uint64_t>(host().flows().count() / small_slice, 1, slices)};
    for (const auto& configured : options.all_collectors()) {
        const std::string name = net::Target::name_of(configured.address, configured.port);
        const auto known = std::find_if(leaving.begin(), leaving.end(), [&](const Collector& collector) {
            return collector.target->target().name() == name;
        });
        if (known == leaving.end() || options.dry_run != options_.dry_run) {
            fresh.push_back(make_collector(options, configured));
            fresh.back().owed = whole_table;
            continue;
        }
        known->target->resolve_every(options.resolve_interval);
        known->layout = layout_of(options, configured);
        known->only_registered = configured.privacy.only_registered_tags;
        collectors_.push_back(std::move(*known));
        leaving.erase(known);
    }
    const Deadline leave(
        std::chrono::nanoseconds((std::chrono::steady_clock::now() + patience).time_since_epoch()).count());
    for (const Collector& collector : leaving) collector.target->stop(leave);
    if (options_.sends_to_destinations() && !options.sends_to_destinations()) destinations_.stop(leave);
    ongoing_ = *std::move(ongoing);
    options_ = std::move(options);
    begin_sending(fresh);
    composer_->use(options_.enrichment_mode, public_addresses());
    std::move(fresh.begin(), fresh.end(), std::back_inserter(collectors_));
    return {};
}

void FireflyBackend::Introduction::note(const EventView& event) {
    if (event.is_end())
        told.erase(event->flow_id);
    else if (event->flow_id % slices >= slice)
        told.insert(event->flow_id);
}

void FireflyBackend::introduce() {
    for (Collector& collector : collectors_)
        if (collector.owed && collector.target->target().state() == net::Target::State::sending) introduce(collector);
}

/// Sends one slice, or as much of it as the queue has room for.
void FireflyBackend::introduce(Collector& collector) {
    Introduction& owed = *collector.owed;
    const std::int64_t now_ns = unix_time_ns();
    bool whole = true;
    const auto visited = host().flows().visit([&](const flowd_flow& flow) {
        if (flow.flow_id % owed.slices != owed.slice || owed.told.count(flow.flow_id) != 0) return true;
        if (collector.target->target().sender().waiting() >= net::Sender::batch) collector.target->flush();
        whole = collector.target->target().sender().waiting() < introduction_room;
        if (!whole) return false;
        owed.told.insert(flow.flow_id);
        const flowd_event event = ongoing_of(flow);
        if (!wanted(EventView(event)) || !begin(EventView(event), now_ns)) return true;
        if (flow_ != nullptr && flow_->sent_ns == 0) {
            flow_->sent_ns = now_ns;
            flow_->kind = event.kind;
        }
        (void)send_to(collector, EventView(event));
        return true;
    });
    collector.target->flush();
    if (!visited) {
        host().warning(visited.error().message);
        return collector.owed.reset();
    }
    if (!whole) return;
    std::erase_if(owed.told, [&](std::uint64_t flow_id) { return flow_id % owed.slices == owed.slice; });
    if (++owed.slice == owed.slices) collector.owed.reset();
}

Taken FireflyBackend::on_events(const Events& events) {
    if (options_.dry_run) return Taken::all();
    const std::int64_t now_ns = unix_time_ns();
    for (const EventView event : events) send(event, now_ns);
    flush();
    return Taken::all();
}

bool FireflyBackend::wanted(const EventView& event) {
    // The core creates such an event per flow and sampling period; it is sent only with `enrich`, and only with samples:
    // without them, it contains the usage that a meter has measured.
    if (event.is_ongoing() && event.has(FLOWD_SAMPLED) && !event.has(FLOWD_RETAGGED) &&
        (!options_.enrich || event->sample_count == 0))
        return false;
    switch (firefly::printable(*event)) {
        case firefly::Printable::yes:
            return true;
        case firefly::Printable::kind:
            return false;
        case firefly::Printable::protocol:
            skip(Skip::protocol);
            return false;
        case firefly::Printable::port:
            skip(Skip::port);
            return false;
        case firefly::Printable::address:
            skip(Skip::address);
            return false;
    }
    return false;
}

firefly::Layout FireflyBackend::Collector::present_layout() const {
    firefly::Layout present = layout;
    const std::size_t path = target->target().path_payload();
    // A fragmented datagram is better than an incomplete firefly.
    if (path != 0) present.max_size = std::clamp(path, std::min(firefly::least_max_size, layout.max_size), layout.max_size);
    return present;
}

bool FireflyBackend::begin(const EventView& event, std::int64_t now_ns) {
    flow_ = flows_.of(event->flow_id);
    from_ = provenances_.of(event);
    path_ = from_ ? firefly::Path{from_->path.origin, from_->path.hops + 1} : firefly::Path{boot_, 0};
    const auto skip_all = [this](Skip reason) {
        skip(reason);
        if (flow_ != nullptr) {
            flow_->collectors = 0;
            flow_->collector_skip = flow_->destination_skip = reason;
        }
        return false;
    };
    if (path_.hops > firefly::max_hops) return skip_all(Skip::hops);
    if (from_ && Provenances::is_brought(event) && event.is_ongoing() && !event.has(FLOWD_RETAGGED) &&
        !provenances_.admits(event, net::TokenBucket::Clock::now()))
        return skip_all(Skip::limited);
    composer_->begin(event, now_ns, flow_ != nullptr ? flow_->rtt_ms : 0);
    return true;
}

void FireflyBackend::send(const EventView& event, std::int64_t now_ns) {
    if (const auto rtt = firefly::Composer::rtt_of(event))
        if (auto* const flow = flows_.of(event->flow_id)) flow->rtt_ms = *rtt;
    if (wanted(event) && begin(event, now_ns)) {
        if (flow_ != nullptr) {
            flow_->sent_ns = now_ns;
            flow_->kind = event->kind;
            flow_->collectors = 0;
            flow_->collector_skip = flow_->destination_skip = Skip::none;
        }
        for (Collector& collector : collectors_)
            if (send_to(collector, event) && collector.owed) collector.owed->note(event);
        if (options_.send_to_destination) send_to_destination(event);
    }
    if (!event.is_end()) return;
    flows_.forget(event->flow_id);
    flow_ = nullptr;
    provenances_.forget(event);
}

/// A daemon is assumed to receive at the same port as this one: another port may be a collector on the sender's host.
bool FireflyBackend::is_peer(const std::optional<Endpoint>& target) const {
    return from_ && target == Endpoint{from_->peer, from_->port};
}

bool FireflyBackend::is_withheld(const Collector& collector, flowd_tag tag) const {
    return collector.only_registered && host().registry().activity_name(tag.experiment, tag.activity).empty();
}

bool FireflyBackend::send_to(Collector& collector, const EventView& event) {
    constexpr auto collectors = &FlowMemory::Flow::collector_skip;
    // A collector that was sent the start is still sent the end, also if the tag has changed to one that is withheld.
    const bool is_awaited = event.is_end() && flow_ != nullptr && (flow_->informed & collector.bit) != 0;
    if (is_withheld(collector, event->tag) && !is_awaited) {
        skip(Skip::unregistered, collectors);
        return true;
    }
    const net::Target& target = collector.target->target();
    const std::string_view relayed = from_ ? from_->receivers : std::string_view();
    if (firefly::names_receiver(relayed, target.name()) || firefly::names_receiver(relayed, target.address_text())) {
        skip(Skip::relayed, collectors);
        return true;
    }
    if (is_peer(target.endpoint())) {
        skip(Skip::peer, collectors);
        return true;
    }
    const firefly::Layout layout = collector.present_layout();
    const std::string_view datagram = composer_->print(layout);
    if (datagram.empty()) {
        skip(Skip::size, collectors);
        return true;
    }
    numbered_.clear();
    if (!collector.stream.number(numbered_, datagram, path_, layout.max_size)) ++unnumbered_;
    if (!collector.target->push(numbered_)) return false;
    if (flow_ != nullptr) {
        flow_->collectors |= collector.bit;
        flow_->informed |= collector.bit;
    }
    return true;
}

void FireflyBackend::send_to_destination(const EventView& event) {
    constexpr auto destination = &FlowMemory::Flow::destination_skip;
    const bool knows = flow_ != nullptr && flow_->destination_knows;
    // The flags are those of the instances that announce the flow now. If the one that allowed it leaves, a destination
    // that was sent the start is still sent the end.
    if (!options_.forward_to_destination && !(knows && event.is_end())) {
        if (event.has(FLOWD_LEARNT_REMOTELY)) return skip(Skip::received, destination);
        if (event.has(FLOWD_NOT_TO_PEER)) return skip(Skip::metered, destination);
    }
    // If an instance that allows it joins, the first firefly to the destination would be an `ongoing`: send a start.
    if (event.is_ongoing() && flow_ != nullptr && !knows) composer_->call_it_a_start();
    const std::string_view datagram = composer_->print({options_.prepend_syslog, options_.max_size});
    if (datagram.empty()) return skip(Skip::size, destination);
    const Endpoint to{event.destination().address, options_.destination_port};
    if (is_peer(to)) return skip(Skip::peer, destination);
    switch (destinations_.push(datagram, to, event->key.zone, path_, options_.max_size)) {
        case Destinations::Answer::not_a_host:
            return skip(Skip::not_a_host, destination);
        case Destinations::Answer::ourselves:
            return skip(Skip::ourselves, destination);
        case Destinations::Answer::queued:
            if (flow_ != nullptr) flow_->destination_knows = true;
            return;
        case Destinations::Answer::no_room:
            return;  // counted by the callee
    }
}

void FireflyBackend::flush() {
    for (const Collector& collector : collectors_) collector.target->flush();
    if (options_.send_to_destination) destinations_.flush();
}

void FireflyBackend::send_ongoing() {
    const std::uint64_t slice = slice_++ % slices;
    const std::int64_t now_ns = unix_time_ns();
    const auto visited = host().flows().visit([&](const flowd_flow& flow) {
        if (flow.flow_id % slices == slice) send(EventView(ongoing_of(flow)), now_ns);
    });
    if (!visited) host().warning(visited.error().message);
    flush();
}

Result<void> FireflyBackend::stop(Deadline deadline) {
    ongoing_.reset();
    stun_.stop();
    for (const Collector& collector : collectors_) collector.target->stop(deadline);
    destinations_.stop(deadline);
    if (composer_) publisher_.stop();
    return {};
}

void FireflyBackend::publish() {
    for (const Collector& collector : collectors_) collector.counters->publish();
    destination_counters_.publish();
    counters_.publish();
    stun_.publish();
}

void FireflyBackend::status(json::Writer& object) const {
    object.member("summary", summary());
    object.key("collectors").array();
    for (const Collector& collector : collectors_) collector.target->status(object);
    object.end();
    if (options_.sends_to_destinations()) destinations_.status(object);
    counters_.status(object);
    stun_.status(object);
}

}  // namespace flowd::firefly_backend
