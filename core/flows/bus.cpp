// SPDX-License-Identifier: Apache-2.0
// The bus is a facade: the table decides, delivery queues; this file defines the order of the calls.
#include "core/flows/bus.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "core/flows/catch_all.hpp"
#include "core/flows/delivery.hpp"
#include "core/flows/flow_table.hpp"
#include "core/flows/intake.hpp"
#include "core/flows/membership.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t events_per_wake = 128;
constexpr std::size_t events_ahead = 6;   // that are checked, and their index entries prefetched, ahead of time
constexpr std::size_t records_ahead = 3;  // ... and their records

}  // namespace

struct Bus::Parts {
    Parts(const FlowLimits& limits, const Clock& clock, std::unique_ptr<SocketProbe> probe)
        : history(limits.history, clock.system_ns()),
          table(limits, clock, std::move(probe), members, history),
          delivery(table, catch_all, members, clock) {}

    flowd_result announce(const Offer& offer, Notices& notices, std::uint64_t& flow_id);
    flowd_result set_catch_all(const Offer& offer);

    Membership members;
    CatchAll catch_all{members};
    FlowHistory history;
    FlowTable table;
    Delivery delivery;
    std::atomic<std::uint64_t> periods{0};  ///< of samples
};

Bus::Bus(const FlowLimits& limits, const Clock& clock, std::unique_ptr<SocketProbe> probe)
    : parts_(std::make_shared<Parts>(limits, clock, std::move(probe))) {}

Bus::~Bus() {
    const auto change = parts_->members.change();
    parts_->delivery.remove_all();
    parts_->members.drop_callbacks();
}

/// A queue may be held longer than the bus.
std::shared_ptr<Delivery> Bus::delivery() const {
    return {parts_, &parts_->delivery};
}

void Bus::set_limits(const FlowLimits& limits) {
    parts_->table.set_limits(limits);
    parts_->history.set_capacity(limits.history);
}

FlowLimits Bus::limits() const {
    return parts_->table.limits();
}

void Bus::set_queue_limits(const QueueLimits& limits) {
    parts_->delivery.set_limits(limits);
}

flowd_result Bus::emit(AnnouncerId id, const flowd_event* events, std::size_t count, std::size_t stride,
                       std::size_t* accepted, std::uint64_t* flow_ids) {
    std::size_t done = 0;
    if (accepted) *accepted = 0;
    if (flow_ids) std::fill_n(flow_ids, count, 0);
    if (count == 0) return FLOWD_OK;
    if (events == nullptr) return FLOWD_INVALID;
    if (id.generation == 0 || id.slot >= max_announcers) return FLOWD_STOPPED;

    struct TakenIn {
        Incoming in;
        std::optional<Refusal> refusal;
    };
    std::array<TakenIn, 8> ring;
    static_assert(events_ahead < ring.size());
    std::size_t ahead = 0;
    Tally tally;
    Offer offer{id, parts_->table.now(), tally};
    Notices notices(parts_->delivery);
    flowd_result result = FLOWD_OK;
    const auto announce = [&](TakenIn& next, std::uint64_t& flow_id) -> flowd_result {
        offer.in = &next.in;
        const std::uint32_t kind = next.in.event.kind;
        if (next.refusal) {
            const bool is_readable = *next.refusal != Refusal::bad_size && *next.refusal != Refusal::bad_kind;
            ++tally.offered[is_readable ? kind : 0];
            tally.refuse(*next.refusal);
            return FLOWD_INVALID;
        }
        ++tally.offered[kind];
        return kind >= FLOWD_EVENT_CATCH_ALL ? parts_->set_catch_all(offer) : parts_->announce(offer, notices, flow_id);
    };
    for (; done < count; ++done) {
        for (; ahead < count && ahead <= done + events_ahead; ++ahead) {
            auto& [in, refusal] = ring[ahead % ring.size()];
            refusal = parts_->table.take_in(reinterpret_cast<const std::byte*>(events) + ahead * stride, stride, in);
        }
        if (const std::size_t next = done + records_ahead; next < ahead && !ring[next % ring.size()].refusal)
            parts_->table.expect_record(ring[next % ring.size()].in);
        std::uint64_t flow_id = 0;
        try {
            result = announce(ring[done % ring.size()], flow_id);
        } catch (const std::bad_alloc&) {
            tally.refuse(Refusal::no_memory);
            result = FLOWD_NO_MEMORY;
        }
        if (result != FLOWD_OK) break;
        if (flow_ids) flow_ids[done] = flow_id;
        ++tally.accepted;
        if (accepted) *accepted = done + 1;
        // A wake costs more than an event, but backends must not wait for the end of a long batch.
        if (done % events_per_wake == events_per_wake - 1) notices.fire();
    }
    notices.fire();
    if (result != FLOWD_STOPPED) parts_->members.announcer(id.slot).add(tally);
    return result;
}

/// Decides, offers to the queues, then applies: an event that finds a queue full has changed nothing.
flowd_result Bus::Parts::announce(const Offer& offer, Notices& notices, std::uint64_t& flow_id) {
    FlowTable::Shard& shard = table.shard_of(*offer.in);
    const std::lock_guard lock(shard);
    if (!members.is_valid(offer.id)) return FLOWD_STOPPED;
    Change change = table.decide(shard, offer);
    flow_id = change.flow_id;
    if (change.step == Change::Step::none) return FLOWD_OK;
    const std::int64_t now = offer.now.steady;
    Delivery::Gate gate(delivery);
    if (change.must && !gate.open(change.to, change.bytes, offer.id.slot, now)) {
        offer.tally.refuse(Refusal::full);
        return FLOWD_FULL;
    }
    change.told = gate.held();
    Outgoing event;
    if (const auto result = table.apply(shard, offer, change, event); result != FLOWD_OK) return result;
    flow_id = change.flow_id;
    if (!change.must) {
        delivery.push_ongoing(change.to, event, now, notices);
        return FLOWD_OK;
    }
    gate.push(event, now, notices);
    const std::uint32_t others = change.wanting & ~change.told;
    if (others != 0) delivery.bring_up(shard, change.flow_id, others, offer.now, notices);
    return FLOWD_OK;
}

flowd_result Bus::Parts::set_catch_all(const Offer& offer) {
    if (catch_all.set(offer.id, offer.in->event, offer.now.system) != FLOWD_OK) return FLOWD_STOPPED;
    offer.tally.note(Effect::catch_all);
    delivery.tell_catch_all();
    return FLOWD_OK;
}

Result<AnnouncerId> Bus::add_announcer(AnnouncerOptions options) {
    const auto change = parts_->members.change();
    return parts_->members.add_announcer(std::move(options));
}

Result<void> Bus::replace_announcer(AnnouncerId id, AnnouncerOptions options) {
    const auto change = parts_->members.change();
    if (auto replaced = parts_->members.replace_announcer(id, std::move(options)); !replaced) return replaced;
    parts_->delivery.drop_marks(id.slot);
    // The predecessor's emit may have returned FULL, and its on_room may have been called; the successor knows of neither.
    parts_->members.announcer(id.slot).tell_room();
    return {};
}

void Bus::remove_announcer(AnnouncerId id) {
    Parts& parts = *parts_;
    const auto change = parts.members.change();
    if (!parts.members.retire_announcer(id)) return;
    const Now now = parts.table.now();
    {
        Notices notices(parts.delivery);
        parts.table.remove_announcer(id.slot, now, notices);
    }
    parts.catch_all.withdraw(id.slot, now.system);
    parts.delivery.tell_catch_all();
    parts.delivery.drop_marks(id.slot);
    parts.members.free_announcer(id.slot);
}

flowd_result Bus::mark(AnnouncerId id) {
    if (id.generation == 0 || id.slot >= max_announcers) return FLOWD_STOPPED;
    return parts_->delivery.mark(id);
}

Result<std::shared_ptr<BackendQueue>> Bus::add_backend(BackendOptions options) {
    const auto change = parts_->members.change();
    auto queue = parts_->delivery.add(std::move(options), delivery());
    if (!queue) return std::move(queue).error();
    return std::make_shared<BackendQueue>(std::move(*queue));
}

Result<std::shared_ptr<BackendQueue>> Bus::replace_backend(const std::shared_ptr<BackendQueue>& old,
                                                           BackendOptions options) {
    const auto change = parts_->members.change();
    auto queue = parts_->delivery.replace(old ? old->queue_ : nullptr, std::move(options), delivery());
    if (!queue) return std::move(queue).error();
    return std::make_shared<BackendQueue>(std::move(*queue));
}

void Bus::remove_backend(const std::shared_ptr<BackendQueue>& queue) {
    const auto change = parts_->members.change();
    if (queue) parts_->delivery.remove(queue->queue_);
}

void Bus::visit(const FlowVisitor& visitor, std::size_t batch) const {
    parts_->table.visit(visitor, batch);
}

flowd_result Bus::page(const flowd_flow_filter* filter, std::uint64_t& cursor, std::size_t limit,
                       const std::function<bool(const flowd_flow&)>& visitor) const {
    return parts_->table.page(filter, cursor, limit, visitor);
}

bool Bus::find(const flowd_key& key, const std::function<void(const flowd_flow&)>& visitor) const {
    return parts_->table.find(key, visitor);
}

bool Bus::examine(const flowd_key& key,
                  const std::function<void(const flowd_flow&, std::span<const FlowAnnouncer>)>& visitor) const {
    return parts_->table.examine(key, visitor);
}

std::optional<CatchAllTag> Bus::catch_all() const {
    const CatchAll::State state = parts_->catch_all.state();
    if (state.event.kind != FLOWD_EVENT_CATCH_ALL) return std::nullopt;
    return CatchAllTag{state.event.tag, std::string(to_view(state.event.announcer)), state.event.time_ns};
}

std::uint64_t Bus::count() const {
    return parts_->table.live();
}

flowd_result Bus::page_ended(const flowd_flow_filter* filter, std::uint64_t& cursor, std::size_t limit,
                             const std::function<bool(const flowd_flow&)>& visitor) const {
    return parts_->history.page(parts_->members, filter, cursor, limit, visitor);
}

std::uint64_t Bus::count_ended() const {
    return parts_->history.count();
}

Minutes& Bus::minutes() const {
    return parts_->history.minutes();
}

void Bus::collect_sums() {
    parts_->table.collect_sums(parts_->table.now());
}

flowd_result Bus::read_events(std::uint64_t& position, std::size_t limit, std::uint64_t& lost,
                              const std::function<bool(const flowd_observed&)>& visitor) const {
    return parts_->history.read(parts_->members, position, limit, lost, visitor);
}

std::uint64_t Bus::next_event() const {
    return parts_->history.next_event();
}

void Bus::observe_refusal(std::string_view instance, std::string_view reason, std::string_view sender,
                          std::string_view first) {
    parts_->history.add_refusal(parts_->table.now().system, instance, reason, sender, first);
}

void Bus::set_marks(std::uint32_t marks) {
    parts_->table.set_marks(marks);
}

void Bus::apply_samples(const SamplePeriod& period) {
    parts_->table.count_shed_samples(period);
    const auto flows = period.by_flow();
    // If queues have no room for all flows, each period begins with other flows.
    const std::size_t first = flows.empty() ? 0 : parts_->periods++ * std::uint64_t{0x9e3779b97f4a7c15} % flows.size();
    Notices notices(parts_->delivery);
    for (std::size_t i = 0; i < flows.size(); ++i) {
        const auto of_flow = flows[(first + i) % flows.size()];
        const Now now = parts_->table.now();
        FlowTable::Shard& shard = parts_->table.shard_of(of_flow.front()->sample.flow_id);
        {
            const std::lock_guard lock(shard);
            Outgoing event;
            const auto to = parts_->table.sample(shard, of_flow, now, notices, event);
            parts_->delivery.push_ongoing(to, event, now.steady, notices);
        }
        notices.fire();
    }
}

std::int64_t Bus::tick() {
    FlowTable& table = parts_->table;
    if (table.upkeep_is_over()) return never_ns;
    const Now now = table.now();
    Notices notices(parts_->delivery);
    const std::int64_t due = std::min(table.tick(now, notices), parts_->delivery.watch_stalls(now.steady));
    return std::max(due, now.steady + second_ns / 100);
}

void Bus::end_upkeep() {
    parts_->table.end_upkeep();
}

BusCounters Bus::counters() const {
    BusCounters out;
    parts_->table.count(out);
    out.announcers = parts_->members.announcer_counters();
    parts_->delivery.count(out);
    return out;
}

}  // namespace flowd::core
