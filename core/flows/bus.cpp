// SPDX-License-Identifier: Apache-2.0
#include "core/flows/bus.hpp"

#include <algorithm>
#include <cstring>
#include <random>

#include "core/flows/bus_state.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t events_per_wake = 128;
constexpr std::size_t events_ahead = 6;  // whose place in the index is fetched while this one is worked on

std::uint64_t random_seed() {
    std::random_device device;
    return (std::uint64_t{device()} << 32 | device()) | 1;
}

}  // namespace

BusState::BusState(const FlowLimits& flow_limits, Clock time, std::unique_ptr<SocketProbe> socket_probe)
    : clock(std::move(time)),
      hash(random_seed()),
      probe(std::move(socket_probe)),
      probe_due_ns(clock.steady_ns() + flow_limits.probe_interval_ns),
      limits(flow_limits) {
    for (std::uint32_t i = 0; i < shard_count; ++i) shards[i].store.set_shard(i);
}

void BusState::expect(const std::byte* event) {
    flowd_key key{};
    std::memcpy(&key, event + offsetof(flowd_event, key), sizeof key);
    const std::uint64_t key_hash = hash(key);
    shard_of(key_hash).store.expect(static_cast<std::uint32_t>(key_hash));
}

std::vector<std::unique_lock<std::mutex>> BusState::lock_all() {
    std::vector<std::unique_lock<std::mutex>> locks;
    locks.reserve(shard_count);
    for (Shard& shard : shards) locks.emplace_back(shard.mutex);
    return locks;
}

Bus::Bus(const FlowLimits& limits, Clock clock, std::unique_ptr<SocketProbe> probe)
    : state_(std::make_shared<BusState>(limits, std::move(clock), std::move(probe))) {}

Bus::~Bus() {
    const std::lock_guard registration(state_->registration);
    Notices notices(*state_);
    for (auto& queue : state_->backends)
        if (queue) state_->detach(queue, notices);
    for (AnnouncerSlot& announcer : state_->announcers) {
        const std::lock_guard lock(announcer.room_mutex);
        announcer.on_room = nullptr;
    }
}

void Bus::set_limits(const FlowLimits& limits) {
    const auto locks = state_->lock_all();
    state_->limits = limits;
    for (Shard& shard : state_->shards) shard.next_expiry_ns = 0;
}

flowd_result Bus::emit(AnnouncerId id, const flowd_event* events, std::size_t count, std::size_t stride,
                       std::size_t* accepted) {
    std::size_t done = 0;
    if (accepted) *accepted = 0;
    if (count == 0) return FLOWD_OK;
    if (events == nullptr) return FLOWD_INVALID;
    if (id.generation == 0 || id.slot >= max_announcers) return FLOWD_STOPPED;

    const Now now = state_->now();
    Tally tally;
    Notices notices(*state_);
    flowd_result result = FLOWD_OK;
    const auto* at = reinterpret_cast<const std::byte*>(events);
    const bool foreseeable = stride >= offsetof(flowd_event, key) + sizeof(flowd_key);
    for (; done < count; ++done, at += stride) {
        if (foreseeable && count - done > events_ahead) state_->expect(at + events_ahead * stride);
        Incoming in;
        const auto refusal = take_in(at, stride, in);
        const bool readable = !refusal || (*refusal != Refusal::bad_size && *refusal != Refusal::bad_kind);
        ++tally.offered[readable ? in.event.kind : 0];
        if (refusal) {
            tally.refuse(*refusal);
            result = FLOWD_INVALID;
        } else if (in.event.kind >= FLOWD_EVENT_CATCH_ALL) {
            result = state_->set_catch_all(id, in, now, tally, notices);
        } else {
            result = state_->announce(id, in, now, tally, notices);
        }
        if (result != FLOWD_OK) break;
        ++tally.accepted;
        if (accepted) *accepted = done + 1;  // at once: what follows may run out of memory
        // A wake costs more than an event; but a long batch must not keep the backends waiting for its end.
        if (done % events_per_wake == events_per_wake - 1) notices.fire();
    }
    notices.fire();
    if (result != FLOWD_STOPPED) state_->announcers[id.slot].add(tally);
    return result;
}

void AnnouncerSlot::add(const Tally& tally) {
    const auto sum = [](auto& to, const auto& from) {
        for (std::size_t i = 0; i < from.size(); ++i)
            if (from[i] != 0) to[i].fetch_add(from[i], std::memory_order_relaxed);
    };
    sum(offered, tally.offered);
    sum(refused, tally.refused);
    sum(effects, tally.effects);
    accepted.fetch_add(tally.accepted, std::memory_order_relaxed);
}

void AnnouncerSlot::reset_counters() {
    for (auto& value : offered) value = 0;
    for (auto& value : refused) value = 0;
    for (auto& value : effects) value = 0;
    accepted = 0;
}

void Bus::visit(const FlowVisitor& visitor, std::size_t batch) const {
    batch = std::max<std::size_t>(batch, 1);
    std::vector<flowd_flow> flows;
    std::vector<Application> names;  // keeps the texts while the visitor reads
    flows.reserve(batch);
    for (Shard& shard : state_->shards) {
        bool more = true;
        for (std::uint32_t index = 0; more;) {
            flows.clear();
            names.clear();
            const Now now = state_->now();
            {
                const std::lock_guard lock(shard.mutex);
                for (; index < shard.store.end() && flows.size() < batch; ++index) {
                    const Flow& flow = shard.store[index];
                    if (flow.state != FlowState::live) continue;
                    flows.push_back(state_->view(flow, now));
                    if (!flow.application.empty()) names.push_back(flow.application);
                }
                more = index < shard.store.end();
            }
            if (!flows.empty() && !visitor(flows)) return;
        }
    }
}

bool Bus::find(const flowd_key& key, const std::function<void(const flowd_flow&)>& visitor) const {
    const std::uint64_t key_hash = state_->hash(key);
    const Now now = state_->now();
    Shard& shard = state_->shard_of(key_hash);
    flowd_flow found{};
    Application name;
    {
        const std::lock_guard lock(shard.mutex);
        Match direction = Match::none;
        const auto index = shard.store.find(key, static_cast<std::uint32_t>(key_hash), direction);
        if (index == FlowStore::none || shard.store[index].state != FlowState::live) return false;
        found = state_->view(shard.store[index], now);
        name = shard.store[index].application;
    }
    visitor(found);
    return true;
}

std::uint64_t Bus::count() const {
    return state_->live.load(std::memory_order_relaxed);
}

std::int64_t Bus::tick() {
    return state_->tick();
}

}  // namespace flowd::core
