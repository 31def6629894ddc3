// SPDX-License-Identifier: Apache-2.0
// What time brings: tombstones end, flows expire, backends stall and catch up.
#include <netinet/in.h>

#include <algorithm>

#include "core/flows/bus_state.hpp"
#include "flowd/address.hpp"

namespace flowd::core {
namespace {

constexpr std::uint8_t dumps_without = 2;  // sock_diag dumps a connection must be missing from

constexpr std::int64_t probe_share = 50;  // looking at the sockets takes at most one part in so many of the time

/// Tells which flows cannot live without a socket of this network namespace.
class OwnAddresses {
  public:
    explicit OwnAddresses(std::vector<Address> addresses) : addresses_(std::move(addresses)) {
        std::sort(addresses_.begin(), addresses_.end());
    }
    /// A meter may see connections that are forwarded with an address of ours; it hears of their end by itself.
    [[nodiscard]] bool must_have_socket(const Flow& flow) const {
        const flowd_key& key = flow.key;
        if (key.protocol != IPPROTO_TCP || key.scope != 0 || (flow.flags & FLOWD_METERED) != 0) return false;
        if (flow.local == FLOWD_LOCAL_NONE) return false;
        const bool link_local = has_zone(key.source) || has_zone(key.destination);
        if (link_local && key.zone == 0) return false;  // the kernel knows it by a zone that was not told
        return is_own(source_of(key).address) || is_own(destination_of(key).address);
    }

  private:
    [[nodiscard]] bool is_own(const Address& address) const {
        return address.is_loopback() || std::binary_search(addresses_.begin(), addresses_.end(), address);
    }
    std::vector<Address> addresses_;
};

bool has_ended(const Flow* flow) {
    return flow != nullptr && flow->state == FlowState::ended;
}

/// The backend of this bit has been told all there is to tell of this key.
bool knows(const Shard& shard, const Flow& flow, std::uint32_t bit) {
    if (flow.older != FlowStore::none) return false;
    if (flow.state == FlowState::ended) return (BusState::started_for(shard, flow) & flow.ended & bit) != 0;
    return (BusState::started_for(shard, flow) & ~flow.retag & bit) != 0;
}

std::int64_t sweep_interval(const FlowLimits& limits) {
    return std::clamp(limits.idle_timeout_ns / 16, second_ns / 10, 10 * second_ns);
}

/// Catching up takes half of a queue; the other half is for what happens now.
bool has_half(const QueueCore& queue) {
    const std::lock_guard lock(queue.mutex);
    return queue.under_half();
}

}  // namespace

std::int64_t BusState::tick() {
    const Now time = now();
    if (upkeep_over) return never_ns;
    bury_all(time.steady);
    sweep(time);
    if (probe && time.steady >= probe_due_ns) probe_due_ns = probe_sockets(time);
    std::int64_t due = time.steady + 60 * second_ns;
    for (const Shard& shard : shards) {
        const std::lock_guard lock(shard.mutex);
        if (!shard.tombstones.empty()) due = std::min(due, shard.tombstones.front().due_ns);
        due = std::min(due, std::max(shard.next_expiry_ns, shard.swept_ns + sweep_interval(shard.limits)));
        // A flow that starts after this tick cannot be due before one of these has passed.
        due = std::min(due, time.steady + std::min(shard.limits.idle_timeout_ns, shard.limits.max_age_ns));
    }
    if (probe) due = std::min(due, probe_due_ns);
    Notices notices(*this);
    due = std::min(due, watch_stalls(time.steady, notices));
    notices.fire();
    return std::max(due, time.steady + second_ns / 100);
}

void BusState::bury_all(std::int64_t now_ns) {
    for (std::uint32_t left = all_shards; left != 0;)
        for_each_bit(left, [&](unsigned number) {
            const std::lock_guard lock(shards[number].mutex);
            if (!bury(shards[number], now_ns)) left &= ~(1u << number);
        });
}

bool BusState::bury(Shard& shard, std::int64_t now_ns) {
    std::uint32_t left = records_per_lock;
    for (; !shard.tombstones.empty() && left > 0; --left) {
        const EndedFlow entry = shard.tombstones.front();
        Flow* const flow = shard.store.by_id(entry.id);
        if (has_ended(flow)) {
            if (entry.due_ns > now_ns) break;
            flow->tombstone_over = true;
            if (owed_to(shard, *flow) != 0)
                shard.owed.push_back(entry);
            else
                drop(shard, *flow);
        }
        shard.tombstones.pop_front();
    }
    for (; !shard.owed.empty() && left > 0 && !has_ended(shard.store.by_id(shard.owed.front().id)); --left)
        shard.owed.pop_front();
    if (left > 0 && shard.texts.is_full()) shard.texts.prune();
    return left == 0;
}

void BusState::sweep(Now time) {
    std::uint32_t expiring = 0;
    for (std::uint32_t i = 0; i < shard_count; ++i) {
        Shard& shard = shards[i];
        const std::lock_guard lock(shard.mutex);
        if (time.steady < std::max(shard.next_expiry_ns, shard.swept_ns + sweep_interval(shard.limits))) continue;
        expiring |= 1u << i;
        shard.swept_ns = time.steady;
        shard.next_expiry_ns = never_ns;
    }
    Notices notices(*this);
    for_each_record(expiring, notices, [&](Shard& shard, Flow& flow) {
        if (flow.state != FlowState::live || upkeep_over) return;
        const std::int64_t at = expiry_of(shard, flow);
        if (at <= time.steady)
            expire(shard, flow, flow.flags & FLOWD_METERED ? Expiry::idle : Expiry::age, time, notices);
        else
            shard.next_expiry_ns = std::min(shard.next_expiry_ns, at);
    });
}

std::int64_t BusState::watch_stalls(std::int64_t now_ns, Notices& notices) {
    std::int64_t due = never_ns;
    const std::lock_guard shard_lock(shards[0].mutex);  // keeps the backends in place
    for_each_bit(shards[0].active, [&](unsigned slot) {
        QueueCore& queue = *members.backend(slot);
        const std::lock_guard lock(queue.mutex);
        if (queue.waiting == 0) return;
        if (queue.stalled(now_ns)) {
            queue.fall_behind();
            notices.announcers |= std::exchange(queue.waiting, 0);
        } else {
            due = std::min(due, queue.progress_ns + queue.limits.stall_after_ns);
        }
    });
    return due;
}

std::int64_t BusState::probe_sockets(Now time) {
    std::int64_t interval = 0;
    {
        const std::lock_guard lock(shards[0].mutex);
        interval = shards[0].limits.probe_interval_ns;
    }
    if (interval <= 0) return time.steady + 10 * second_ns;  // another reload may turn it on
    if (live.load(std::memory_order_relaxed) == 0) return time.steady + interval;
    const std::int64_t begin = clock.steady_ns();
    socket_dumps.fetch_add(1, std::memory_order_relaxed);
    auto addresses = probe->addresses();
    const auto result = probe->dump([this](const flowd_key& tuple) {
        const std::uint64_t key_hash = hash(tuple);
        Shard& shard = shard_of(key_hash);
        const std::lock_guard lock(shard.mutex);
        Match direction = Match::none;
        const auto index = shard.store.find(tuple, static_cast<std::uint32_t>(key_hash), direction);
        if (index == FlowStore::none) return;
        shard.store[index].socket_known = true;
        shard.store[index].socket_marked = true;
    });
    const bool complete = result.ok() && addresses.ok();
    if (!complete && !upkeep_over) socket_dumps_failed.fetch_add(1, std::memory_order_relaxed);
    const OwnAddresses own(addresses.ok() ? std::move(*addresses) : std::vector<Address>());
    Notices notices(*this);
    for_each_record(all_shards, notices, [&](Shard& shard, Flow& flow) {
        if (flow.state != FlowState::live || upkeep_over) return;
        const bool marked = flow.socket_marked;
        flow.socket_marked = false;
        if (!complete) return;  // an incomplete picture proves nothing
        const bool missing = !marked && (flow.socket_known || own.must_have_socket(flow));
        flow.socket_missed = missing ? (flow.socket_missed + 1) & 7 : 0;
        if (flow.socket_missed >= dumps_without) expire(shard, flow, Expiry::socket_gone, time, notices);
    });
    const std::int64_t end = clock.steady_ns();
    return begin + std::max(interval, probe_share * (end - begin));
}

void BusState::resync(QueueCore& queue, Notices& notices) {
    const std::uint32_t bit = 1u << queue.slot;
    while (queue.missed || queue.walking) {
        if (!has_half(queue)) return;
        if (!queue.walking) {
            const std::lock_guard lock(queue.mutex);
            queue.behind = false;
            ++queue.counts.resyncs;
            ++queue.walks;
            queue.missed = false;  // what is missed from here on needs another walk
            queue.walking = true;
            queue.walk = {};
        }
        for (bool more = true; more;) {
            QueueCore::Walk& walk = queue.walk;
            {
                Shard& shard = shards[walk.shard];
                const Now time = now();
                const std::lock_guard lock(shard.mutex);
                // The slot may be somebody else's by now.
                if (!queue.attached || !(shard.active & bit)) return;
                const std::uint32_t stop = std::min(shard.store.end(), walk.first + records_per_lock);
                for (; walk.index < stop; ++walk.index) {
                    Flow& flow = shard.store[walk.index];
                    // What came before a flow of the same key is told with it, in order.
                    if (flow.state == FlowState::free || flow.superseded || knows(shard, flow, bit)) continue;
                    if (!has_half(queue) || !bring_up(shard, flow, queue, FLOWD_RESYNC, time, notices)) return;
                }
                walk.more = walk.more || walk.first + records_per_lock < shard.store.end();
            }
            if (++walk.shard == shard_count) {
                walk.shard = 0;
                walk.first += records_per_lock;
                more = std::exchange(walk.more, false);
            }
            walk.index = walk.first;
        }
        queue.walk_ended(notices);
    }
}

}  // namespace flowd::core
