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
bool knows(const Flow& flow, std::uint32_t bit) {
    if (flow.older != FlowStore::none) return false;
    if (flow.state == FlowState::ended) return (flow.started & flow.ended & bit) != 0;
    return (flow.started & flow.tagged & bit) != 0;
}

/// Catching up takes half of a queue; the other half is for what happens now.
bool has_half(const QueueCore& queue) {
    const std::lock_guard lock(queue.mutex);
    return queue.under_half();
}

}  // namespace

std::int64_t BusState::tick() {
    const Now time = now();
    Notices notices(*this);
    std::int64_t due = time.steady + 60 * second_ns;
    std::int64_t sweep_interval = 0;
    bool probing = false;
    for (Shard& shard : shards) {
        bool expiring = false;
        {
            const std::lock_guard lock(shard.mutex);
            bury(shard, time.steady);
            if (!shard.tombstones.empty()) due = std::min(due, shard.tombstones.front().due_ns);
            sweep_interval = std::clamp(limits.idle_timeout_ns / 16, second_ns / 10, 10 * second_ns);
            expiring = time.steady >= std::max(shard.next_expiry_ns, shard.swept_ns + sweep_interval);
            // A flow that starts after this tick cannot be due before one of these has passed.
            due = std::min(due, time.steady + std::min(limits.idle_timeout_ns, limits.max_age_ns));
            probing = probe && limits.probe_interval_ns > 0;
            if (probing) due = std::min(due, probe_due_ns);
        }
        if (expiring) sweep(shard, time);
        {
            const std::lock_guard lock(shard.mutex);
            due = std::min(due, std::max(shard.next_expiry_ns, shard.swept_ns + sweep_interval));
        }
    }
    if (probing && time.steady >= probe_due_ns) {
        const std::int64_t next = probe_sockets(time);
        const std::lock_guard lock(shards[0].mutex);
        probe_due_ns = next;
        due = std::min(due, probe_due_ns);
    }
    due = std::min(due, watch_stalls(time.steady, notices));
    notices.fire();
    return std::max(due, time.steady + second_ns / 100);
}

void BusState::bury(Shard& shard, std::int64_t now_ns) {
    while (!shard.tombstones.empty()) {
        const EndedFlow entry = shard.tombstones.front();
        Flow* const flow = shard.store.by_id(entry.id);
        if (has_ended(flow)) {
            if (entry.due_ns > now_ns) break;
            flow->tombstone_over = true;
            if ((~flow->ended & shard.active) != 0)
                shard.owed.push_back(entry);
            else
                drop(shard, *flow);
        }
        shard.tombstones.pop_front();
    }
    while (!shard.owed.empty() && !has_ended(shard.store.by_id(shard.owed.front().id))) shard.owed.pop_front();
    if (shard.texts.size() > shard.store.end()) shard.texts.prune();
}

void BusState::sweep(Shard& shard, Now time) {
    Notices notices(*this);
    bool more = true;
    for (std::uint32_t index = 0; more;) {
        {
            const std::lock_guard lock(shard.mutex);
            if (index == 0) {
                shard.swept_ns = time.steady;
                shard.next_expiry_ns = never_ns;
            }
            const std::uint32_t stop = std::min(shard.store.end(), index + records_per_lock);
            for (; index < stop; ++index) {
                Flow& flow = shard.store[index];
                if (flow.state != FlowState::live) continue;
                const std::int64_t at = expiry_of(flow);
                if (at <= time.steady)
                    expire(shard, flow, flow.flags & FLOWD_METERED ? Expiry::idle : Expiry::age, time, notices);
                else
                    shard.next_expiry_ns = std::min(shard.next_expiry_ns, at);
            }
            more = index < shard.store.end();
        }
        notices.fire();
    }
}

std::int64_t BusState::watch_stalls(std::int64_t now_ns, Notices& notices) {
    std::int64_t due = never_ns;
    const std::lock_guard shard_lock(shards[0].mutex);  // keeps the backends in place
    for_each_bit(shards[0].active, [&](unsigned slot) {
        QueueCore& queue = *backends[slot];
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
    if (live.load(std::memory_order_relaxed) == 0) return time.steady + limits.probe_interval_ns;
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
    if (!complete) socket_dumps_failed.fetch_add(1, std::memory_order_relaxed);
    const OwnAddresses own(addresses.ok() ? std::move(*addresses) : std::vector<Address>());
    Notices notices(*this);
    for (Shard& shard : shards) {
        bool more = true;
        for (std::uint32_t index = 0; more;) {
            {
                const std::lock_guard lock(shard.mutex);
                const std::uint32_t stop = std::min(shard.store.end(), index + records_per_lock);
                for (; index < stop; ++index) {
                    Flow& flow = shard.store[index];
                    if (flow.state != FlowState::live) continue;
                    const bool marked = flow.socket_marked;
                    flow.socket_marked = false;
                    if (!complete) continue;  // an incomplete picture proves nothing
                    const bool missing = !marked && (flow.socket_known || own.must_have_socket(flow));
                    flow.socket_missed = missing ? (flow.socket_missed + 1) & 7 : 0;
                    if (flow.socket_missed >= dumps_without) expire(shard, flow, Expiry::socket_gone, time, notices);
                }
                more = index < shard.store.end();
            }
            notices.fire();
        }
    }
    const std::int64_t cost = clock.steady_ns() - time.steady;
    return time.steady + std::max(limits.probe_interval_ns, probe_share * cost);
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
            queue.walk_shard = 0;
            queue.walk_index = 0;
        }
        for (; queue.walk_shard < shard_count; ++queue.walk_shard, queue.walk_index = 0) {
            Shard& shard = shards[queue.walk_shard];
            for (bool more = true; more;) {
                const Now time = now();
                const std::lock_guard lock(shard.mutex);
                // The slot may be somebody else's by now.
                if (!queue.attached || !(shard.active & bit)) return;
                const std::uint32_t stop = std::min(shard.store.end(), queue.walk_index + records_per_lock);
                for (; queue.walk_index < stop; ++queue.walk_index) {
                    Flow& flow = shard.store[queue.walk_index];
                    // What came before a flow of the same key is told with it, in order.
                    if (flow.state == FlowState::free || flow.superseded || knows(flow, bit)) continue;
                    if (!has_half(queue) || !bring_up(shard, flow, queue, FLOWD_RESYNC, time, notices)) return;
                }
                more = queue.walk_index < shard.store.end();
            }
        }
        queue.walk_ended(notices);
    }
}

}  // namespace flowd::core
