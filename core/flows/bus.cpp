// SPDX-License-Identifier: Apache-2.0
#include "core/flows/bus.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <optional>
#include <random>

#include "core/flows/bus_state.hpp"
#include "core/flows/flow_copies.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t events_per_wake = 128;
constexpr std::size_t events_ahead = 6;  // that are taken in, and their places in the index fetched, before their turn

/// The inode number of this process's network namespace; 0 when there is no /proc to tell.
std::uint32_t network_namespace() {
    struct stat status {};
    return stat("/proc/self/ns/net", &status) == 0 ? static_cast<std::uint32_t>(status.st_ino) : 0;
}

std::uint64_t random_seed() {
    std::random_device device;
    return (std::uint64_t{device()} << 32 | device()) | 1;
}

}  // namespace

BusState::BusState(const FlowLimits& flow_limits, Clock time, std::unique_ptr<SocketProbe> socket_probe)
    : clock(std::move(time)),
      own_scope(network_namespace()),
      hash(random_seed()),
      probe(std::move(socket_probe)),
      probe_due_ns(clock.steady_ns() + flow_limits.probe_interval_ns) {
    for (std::uint32_t i = 0; i < shard_count; ++i) {
        shards[i].store.set_shard(i);
        shards[i].limits = flow_limits;
    }
}

Bus::Bus(const FlowLimits& limits, Clock clock, std::unique_ptr<SocketProbe> probe)
    : state_(std::make_shared<BusState>(limits, std::move(clock), std::move(probe))) {}

Bus::~Bus() {
    const auto change = state_->members.change();
    Notices notices(*state_);
    for (unsigned slot = 0; slot < max_backends; ++slot)
        if (const auto queue = state_->members.backend(slot)) state_->detach(*queue, notices);
    for (const auto& queue : std::exchange(state_->sealed, {})) queue->detach();
    state_->members.drop_callbacks();
}

void Bus::set_limits(const FlowLimits& limits) {
    for (Shard& shard : state_->shards) {
        const std::lock_guard lock(shard.mutex);
        shard.limits = limits;
        shard.next_expiry_ns = 0;
    }
}

flowd_result Bus::emit(AnnouncerId id, const flowd_event* events, std::size_t count, std::size_t stride,
                       std::size_t* accepted, std::uint64_t* flow_ids) {
    std::size_t done = 0;
    if (accepted) *accepted = 0;
    if (flow_ids) std::fill_n(flow_ids, count, 0);
    if (count == 0) return FLOWD_OK;
    if (events == nullptr) return FLOWD_INVALID;
    if (id.generation == 0 || id.slot >= max_announcers) return FLOWD_STOPPED;

    const Now now = state_->now();
    Tally tally;
    Notices notices(*state_);
    flowd_result result = FLOWD_OK;
    struct TakenIn {
        Incoming in;
        std::optional<Refusal> refusal;
    };
    std::array<TakenIn, events_ahead + 1> ring;
    std::size_t ahead = 0;
    const auto take_in_next = [&] {
        auto& [in, refusal] = ring[ahead % ring.size()];
        refusal = take_in(reinterpret_cast<const std::byte*>(events) + ahead++ * stride, stride, state_->own_scope, in);
        if (refusal || in.event.kind >= FLOWD_EVENT_CATCH_ALL) return;
        in.key_hash = state_->hash(in.event.key);
        state_->shard_of(in.key_hash).store.expect(static_cast<std::uint32_t>(in.key_hash));
    };
    const auto announce = [&](Incoming& in, std::optional<Refusal> refusal) {
        const bool readable = !refusal || (*refusal != Refusal::bad_size && *refusal != Refusal::bad_kind);
        ++tally.offered[readable ? in.event.kind : 0];
        if (refusal) {
            tally.refuse(*refusal);
            return flowd_result{FLOWD_INVALID};
        }
        if (in.event.kind >= FLOWD_EVENT_CATCH_ALL) return state_->set_catch_all(id, in.event, now.system, tally, notices);
        std::uint64_t flow_id = 0;
        const flowd_result taken = state_->announce(id, in, now, tally, notices, flow_id);
        if (flow_ids && taken == FLOWD_OK) flow_ids[done] = flow_id;
        return taken;
    };
    for (; done < count; ++done) {
        while (ahead < count && ahead <= done + events_ahead) take_in_next();
        auto& [in, refusal] = ring[done % ring.size()];
        try {
            result = announce(in, refusal);
        } catch (const std::bad_alloc&) {
            tally.refuse(Refusal::no_memory);
            result = FLOWD_NO_MEMORY;
        }
        if (result != FLOWD_OK) break;
        ++tally.accepted;
        if (accepted) *accepted = done + 1;
        // A wake costs more than an event; but a long batch must not keep the backends waiting for its end.
        if (done % events_per_wake == events_per_wake - 1) notices.fire();
    }
    notices.fire();
    if (result != FLOWD_STOPPED) state_->members.announcer(id.slot).add(tally);
    return result;
}

void Bus::visit(const FlowVisitor& visitor, std::size_t batch) const {
    batch = std::max<std::size_t>(batch, 1);
    FlowCopies copies;
    copies.reserve(batch);
    // Each time from another shard on: a reader who has no room for all does not always miss the same flows.
    const std::uint32_t first = state_->visits.fetch_add(1, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < BusState::shard_count; ++i) {
        Shard& shard = state_->shards[(first + i) % BusState::shard_count];
        bool more = true;
        for (std::uint32_t index = 0; more;) {
            {
                const std::lock_guard lock(shard.mutex);
                const std::uint32_t stop = std::min(shard.store.end(), index + records_per_lock);
                for (; index < stop && copies.size() < batch; ++index) {
                    const Flow& flow = shard.store[index];
                    if (flow.state == FlowState::live) copies.add(state_->view(shard, flow), flow.texts);
                }
                more = index < shard.store.end();
            }
            if (more && copies.size() < batch) continue;
            if (copies.size() > 0 && !visitor(copies.flows())) return;
            copies.clear();
        }
    }
}

namespace {

constexpr std::size_t records_per_page = 65536;  // looked at by one call of page

bool lies_in(const std::uint8_t (&address)[16], const flowd_flow_filter& filter) {
    const std::uint32_t whole = filter.prefix_length / 8;
    if (std::memcmp(address, filter.network, whole) != 0) return false;
    const std::uint32_t rest = filter.prefix_length % 8;
    return rest == 0 || (address[whole] ^ filter.network[whole]) >> (8 - rest) == 0;
}

/// All but announcer and sender.
bool matches(const Flow& flow, const flowd_flow_filter& filter) {
    const auto counts = [&](std::uint32_t member) { return (filter.members & member) != 0; };
    const flowd_key& key = flow.key;
    if (counts(FLOWD_FILTER_EXPERIMENT) && flow.tag.experiment != filter.tag.experiment) return false;
    if (counts(FLOWD_FILTER_ACTIVITY) && flow.tag.activity != filter.tag.activity) return false;
    if (counts(FLOWD_FILTER_PROTOCOL) && key.protocol != filter.protocol) return false;
    if (counts(FLOWD_FILTER_PORT) && key.source_port != filter.port && key.destination_port != filter.port) return false;
    return !counts(FLOWD_FILTER_NETWORK) || lies_in(key.source, filter) || lies_in(key.destination, filter);
}

}  // namespace

flowd_result Bus::page(const flowd_flow_filter* filter, std::uint64_t& cursor, std::size_t limit,
                       const std::function<bool(const flowd_flow&)>& visitor) const {
    // Of a cursor the upper half is a shard's number plus one, the lower half the next record in it.
    std::size_t at_shard = cursor == 0 ? 0 : (cursor >> 32) - 1;
    auto index = static_cast<std::uint32_t>(cursor);
    if ((cursor != 0 && cursor >> 32 == 0) || at_shard >= state_->shards.size()) return FLOWD_INVALID;
    std::uint64_t announcers = ~std::uint64_t{0};
    if (filter != nullptr) {
        if (filter->reserved != 0 || filter->prefix_length > 128) return FLOWD_INVALID;
        if (filter->members > (FLOWD_FILTER_SENDER << 1) - 1) return FLOWD_UNSUPPORTED;
        if ((filter->members & FLOWD_FILTER_ANNOUNCER) != 0)
            announcers = state_->members.announcers_called(to_view(filter->announcer));
    }
    const bool by_sender = filter != nullptr && (filter->members & FLOWD_FILTER_SENDER) != 0;
    std::size_t looked_at = 0;
    FlowCopies copies;
    std::vector<std::uint32_t> behind;
    copies.reserve(std::min<std::size_t>(limit, records_per_lock));
    behind.reserve(std::min<std::size_t>(limit, records_per_lock));
    while (at_shard < state_->shards.size() && limit > 0 && looked_at < records_per_page) {
        Shard& shard = state_->shards[at_shard];
        copies.clear();
        behind.clear();
        bool over = false;
        {
            const std::lock_guard lock(shard.mutex);
            if (index > shard.store.end()) return FLOWD_INVALID;  // the table never shrinks
            const std::uint32_t first = index;
            for (; index < shard.store.end() && index - first < records_per_lock && copies.size() < limit; ++index) {
                const Flow& flow = shard.store[index];
                if (flow.state != FlowState::live || (flow.announcers & announcers) == 0) continue;
                if (filter != nullptr && !matches(flow, *filter)) continue;
                if (by_sender && !shard.announcements.has_sender(flow, filter->sender)) continue;
                copies.add(state_->view(shard, flow), flow.texts);
                behind.push_back(index + 1);
            }
            over = index >= shard.store.end();
            looked_at += index - first + 1;
        }
        const auto place = [&](std::uint32_t next) { return (std::uint64_t{at_shard} + 1) << 32 | next; };
        for (std::size_t i = 0; i < copies.size(); ++i) {
            --limit;
            if (visitor(copies.flows()[i])) continue;
            cursor = place(behind[i]);
            return FLOWD_OK;
        }
        if (over) {
            ++at_shard;
            index = 0;
        }
    }
    cursor = at_shard < state_->shards.size() ? (std::uint64_t{at_shard} + 1) << 32 | index : 0;
    return FLOWD_OK;
}

bool Bus::find(const flowd_key& key, const std::function<void(const flowd_flow&)>& visitor) const {
    flowd_key own = key;
    normalise(own, state_->own_scope);
    const std::uint64_t key_hash = state_->hash(own);
    Shard& shard = state_->shard_of(key_hash);
    FlowCopies found;
    {
        const std::lock_guard lock(shard.mutex);
        Match direction = Match::none;
        const auto index = shard.store.find(own, static_cast<std::uint32_t>(key_hash), direction);
        if (index == FlowStore::none || shard.store[index].state != FlowState::live) return false;
        found.add(state_->view(shard, shard.store[index]), shard.store[index].texts);
    }
    visitor(found.flows().front());
    return true;
}

std::uint64_t Bus::count() const {
    return state_->live.load(std::memory_order_relaxed);
}

std::int64_t Bus::tick() {
    return state_->tick();
}

void Bus::end_upkeep() {
    state_->upkeep_over = true;
    if (state_->probe) state_->probe->interrupt();
}

flowd_result BusState::set_catch_all(AnnouncerId id, const flowd_event& event, std::int64_t system_ns, Tally& tally,
                                     Notices& notices) {
    const std::uint64_t version = catch_all.version();
    if (catch_all.set(id, event, system_ns) != FLOWD_OK) return FLOWD_STOPPED;
    tally.note(Effect::catch_all);
    if (catch_all.version() != version) wake_all(notices);
    return FLOWD_OK;
}

Result<AnnouncerId> Bus::add_announcer(AnnouncerOptions options) {
    const auto change = state_->members.change();
    return state_->members.add_announcer(std::move(options));
}

Result<void> Bus::replace_announcer(AnnouncerId id, AnnouncerOptions options) {
    const auto change = state_->members.change();
    if (auto replaced = state_->members.replace_announcer(id, std::move(options)); !replaced) return replaced;
    state_->drop_marks(id.slot);
    // The predecessor may have been told FULL, and been given the room that the successor does not know of.
    state_->members.announcer(id.slot).tell_room();
    return {};
}

void Bus::remove_announcer(AnnouncerId id) {
    const auto change = state_->members.change();
    if (!state_->members.retire_announcer(id)) return;
    const std::uint64_t bit = std::uint64_t{1} << id.slot;
    const Now now = state_->now();
    Notices notices(*state_);
    state_->for_each_record(BusState::all_shards, notices, [&](Shard& shard, Flow& flow) {
        if (flow.state != FlowState::live) return;
        if (flow.announcers == bit) return state_->expire(shard, flow, Expiry::unannounced, now, notices);
        shard.announcements.leave(flow, static_cast<std::uint8_t>(id.slot));
        shard.next_expiry_ns = std::min(shard.next_expiry_ns, BusState::expiry_of(shard, flow));
        if (flow.owner == id.slot) flow.disown();
        if (flow.charged == id.slot) {  // also one that it had left
            flow.charged = static_cast<std::uint8_t>(__builtin_ctzll(flow.announcers));
            state_->members.announcer(id.slot).discharge();
            state_->members.announcer(flow.charged).charge();
        }
    });
    const std::uint64_t version = state_->catch_all.version();
    state_->catch_all.withdraw(id.slot, now.system);
    if (state_->catch_all.version() != version) state_->wake_all(notices);
    notices.fire();
    state_->drop_marks(id.slot);
    state_->members.free_announcer(id.slot);
}

Result<std::shared_ptr<BackendQueue>> Bus::add_backend(BackendOptions options) {
    const auto change = state_->members.change();
    auto queue = state_->add_queue(std::move(options));
    if (!queue) return std::move(queue).error();
    for (Shard& shard : state_->shards) {
        const std::lock_guard lock(shard.mutex);
        BusState::attach_to(shard, **queue);
    }
    (*queue)->wake();
    return std::make_shared<BackendQueue>(*queue);
}

void Bus::remove_backend(const std::shared_ptr<BackendQueue>& queue) {
    const auto change = state_->members.change();
    if (!queue) return;
    Notices notices(*state_);
    if (state_->members.backend(queue->core_->slot) == queue->core_)
        state_->detach(*queue->core_, notices);
    else
        state_->forget(queue->core_, notices);
    notices.fire();
}

Result<std::shared_ptr<BackendQueue>> Bus::replace_backend(const std::shared_ptr<BackendQueue>& old,
                                                           BackendOptions options) {
    const auto change = state_->members.change();
    if (!old || state_->members.backend(old->core_->slot) != old->core_)
        return Error{FLOWD_NOT_FOUND, "the backend to be replaced by " + options.name + " is gone"};
    // Both have a slot for a moment: the old one still has what it was told before.
    auto fresh = state_->add_queue(std::move(options));
    if (!fresh) return std::move(fresh).error();
    Notices notices(*state_);
    state_->hand_over(old->core_, *fresh, notices);
    (*fresh)->wake();
    notices.fire();
    return std::make_shared<BackendQueue>(*fresh);
}

void Bus::set_queue_limits(const QueueLimits& limits) {
    Notices notices(*state_);
    state_->members.for_each_backend([&](QueueCore& queue) {
        const std::lock_guard lock(queue.mutex);
        queue.set(limits);
        if (queue.under_half()) notices.announcers |= std::exchange(queue.waiting, 0);
    });
}

BusCounters Bus::counters() const {
    BusCounters out;
    const BusState& state = *state_;
    out.live = state.live;
    out.ended_kept = state.ended_kept;
    out.owed = state.owed;
    out.tombstones_cut_short = state.tombstones_cut_short;
    out.samples = state.samples;
    out.samples_unknown = state.samples_unknown;
    out.samples_invalid = state.samples_invalid;
    out.samples_shed = state.samples_shed;
    out.attachments_not_kept = state.attachments_not_kept;
    out.socket_dumps = state.socket_dumps;
    out.socket_dumps_failed = state.socket_dumps_failed;
    std::copy(state.expired.begin(), state.expired.end(), out.expired.begin());
    for (const Shard& shard : state.shards) {
        const std::lock_guard lock(shard.mutex);
        out.table_bytes += shard.store.bytes();
    }
    out.announcers = state.members.announcer_counters();
    state.members.for_each_backend([&](const QueueCore& queue) { out.backends.push_back(queue.counters()); });
    return out;
}

}  // namespace flowd::core
