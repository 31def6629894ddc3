// SPDX-License-Identifier: Apache-2.0
#include "core/flows/samples.hpp"

#include <algorithm>
#include <cstring>

#include "core/flows/bus_state.hpp"
#include "core/flows/sized.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t least_sample = offsetof(flowd_sample, time_ns);
constexpr std::size_t samples_per_event = 8;  // more enrichers than that share the rest of their samples' events

bool is_sound(const flowd_sample& sample) {
    const auto absent = [](const void* data, std::size_t length) { return data == nullptr && length > 0; };
    return sample.flow_id != 0 && sample.time_ns >= 0 && sample.source.length <= SamplePeriod::max_text &&
           sample.congestion.length <= SamplePeriod::max_text && sample.tcp_info.length <= SamplePeriod::max_tcp_info &&
           !absent(sample.source.data, sample.source.length) && !absent(sample.tcp_info.data, sample.tcp_info.length) &&
           !absent(sample.congestion.data, sample.congestion.length);
}

}  // namespace

flowd_result SamplePeriod::add(std::string_view enricher, const flowd_sample* sample) {
    flowd_sample own{};
    const auto refuse = [this](flowd_result result) {
        const std::lock_guard lock(mutex_);
        ++refused_;
        return result;
    };
    // The interface passes one sample by its address, so its own size is the place it has.
    if (sample == nullptr || !copy_sized_within(sample, sample->size, least_sample, own) || !is_sound(own))
        return refuse(FLOWD_INVALID);
    if (own.source.length == 0) own.source = {enricher.data(), std::min(enricher.size(), max_text)};

    const std::size_t length = own.source.length + own.congestion.length + own.tcp_info.length;
    auto storage = std::make_unique<char[]>(length);
    char* free = storage.get();
    const auto place = [&free](const void* data, std::size_t count) {
        char* const at = free;
        if (count > 0) std::memcpy(at, data, count);
        free += count;
        return at;
    };
    own.source.data = place(own.source.data, own.source.length);
    own.congestion.data = place(own.congestion.data, own.congestion.length);
    own.tcp_info.data = reinterpret_cast<const std::uint8_t*>(place(own.tcp_info.data, own.tcp_info.length));

    const std::lock_guard lock(mutex_);
    if (bytes_ + sizeof(Entry) + length > max_bytes_) {
        ++refused_;
        return FLOWD_LIMIT;
    }
    bytes_ += sizeof(Entry) + length;
    entries_.push_back({own, std::move(storage)});
    sorted_ = false;
    return FLOWD_OK;
}

std::size_t SamplePeriod::bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}

std::uint64_t SamplePeriod::refused() const {
    const std::lock_guard lock(mutex_);
    return refused_;
}

void SamplePeriod::clear() {
    const std::lock_guard lock(mutex_);
    entries_.clear();
    entries_.shrink_to_fit();
    bytes_ = 0;
}

const std::vector<SamplePeriod::Entry>& SamplePeriod::sorted() const {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(sorted_, true))
        std::stable_sort(entries_.begin(), entries_.end(),
                         [](const Entry& a, const Entry& b) { return a.sample.flow_id < b.sample.flow_id; });
    return entries_;
}

void Bus::apply_samples(const SamplePeriod& period) {
    const auto& entries = period.sorted();
    Notices notices(*state_);
    for (std::size_t i = 0; i < entries.size();) {
        std::vector<flowd_sample> of_flow;
        const std::uint64_t id = entries[i].sample.flow_id;
        for (; i < entries.size() && entries[i].sample.flow_id == id; ++i)
            if (of_flow.size() < samples_per_event) of_flow.push_back(entries[i].sample);
        state_->apply(id, of_flow, notices);
        notices.fire();
    }
}

void BusState::apply(std::uint64_t id, std::span<const flowd_sample> of_flow, Notices& notices) {
    const Now time = now();
    samples.fetch_add(of_flow.size(), std::memory_order_relaxed);
    Shard& shard = shards[FlowStore::shard_of(id)];
    const std::lock_guard lock(shard.mutex);
    Flow* const flow = shard.store.by_id(id);
    if (!flow || flow->state != FlowState::live) {
        samples_unknown.fetch_add(of_flow.size(), std::memory_order_relaxed);
        return;
    }
    bool gone = false;
    std::int64_t at = 0;
    for (const flowd_sample& sample : of_flow) {
        gone = gone || (sample.flags & FLOWD_SAMPLE_GONE) != 0;
        at = std::max(at, sample.time_ns);
        if (sample.usage.known == 0) continue;
        const bool moved =
            sample.usage.bytes_sent != flow->usage.bytes_sent || sample.usage.bytes_received != flow->usage.bytes_received;
        if (moved) flow->seen_ns = time.steady;
        flow->usage = sample.usage;
    }
    if (gone) {
        expire(shard, *flow, Expiry::enricher_gone, time, notices);
        return;
    }
    if (!(shard.active & shard.takes_ongoing)) return;
    Outgoing out = outgoing(*flow, FLOWD_EVENT_ONGOING, at ? at : time.system);
    out.event.flags |= FLOWD_SAMPLED;
    out.payload = Payload::copy({}, of_flow);
    push_ongoing(shard, *flow, out, time.steady, notices);
}

}  // namespace flowd::core
