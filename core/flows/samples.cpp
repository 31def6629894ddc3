// SPDX-License-Identifier: Apache-2.0
#include "core/flows/samples.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <iterator>

#include "core/flows/bus_state.hpp"
#include "core/flows/intake.hpp"
#include "core/flows/sized.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t least_sample = offsetof(flowd_sample, time_ns);
constexpr std::size_t samples_per_event = 8;  // of one flow in one period; more are shed

bool is_sound(const flowd_sample& sample) {
    const auto absent = [](const void* data, std::size_t length) { return data == nullptr && length > 0; };
    return (sample.flags & ~std::uint32_t{FLOWD_SAMPLE_GONE}) == 0 && is_known(sample.usage) && sample.flow_id != 0 &&
           sample.time_ns >= 0 && sample.source.length <= SamplePeriod::max_text &&
           sample.congestion.length <= SamplePeriod::max_text && sample.tcp_info.length <= SamplePeriod::max_tcp_info &&
           !absent(sample.source.data, sample.source.length) && !absent(sample.tcp_info.data, sample.tcp_info.length) &&
           !absent(sample.congestion.data, sample.congestion.length) &&
           std::all_of(std::begin(sample.reserved), std::end(sample.reserved), [](auto byte) { return byte == 0; });
}

/// One enricher for all flows.
std::uint32_t reporter_of(flowd_string source) {
    return static_cast<std::uint32_t>(std::hash<std::string_view>()(to_view(source)));
}

}  // namespace

flowd_result SamplePeriod::add(std::string_view enricher, const flowd_sample* sample) {
    flowd_sample own{};
    const auto refuse = [this] {
        const std::lock_guard lock(mutex_);
        ++invalid_;
        return FLOWD_INVALID;
    };
    // The interface passes one sample by its address, so its own size is the place it has.
    if (sample == nullptr || !copy_sized_within(sample, sample->size, least_sample, own) || !is_sound(own)) return refuse();
    std::array<flowd_attachment, Bus::max_attachments> brought;
    if (take_in_attachments(own.attachments, own.attachment_count, own.attachment_stride, brought.data())) return refuse();
    std::vector<flowd_attachment> attachments(brought.begin(), brought.begin() + static_cast<int>(own.attachment_count));
    if (!std::all_of(attachments.begin(), attachments.end(), is_kept)) return refuse();
    own.attachments = nullptr;
    own.attachment_count = 0;
    own.attachment_stride = 0;
    if (own.source.length == 0) own.source = {enricher.data(), std::min(enricher.size(), max_text)};

    std::size_t length = own.source.length + own.congestion.length + own.tcp_info.length;
    for (const flowd_attachment& one : attachments) length += one.id.length + one.bytes.length;
    auto storage = std::make_unique<char[]>(length);
    char* free = storage.get();
    const auto place = [&free](const void* data, std::size_t count) {
        char* const at = free;
        if (count > 0) std::memcpy(at, data, count);
        free += count;
        return at;
    };
    const auto place_bytes = [&place](flowd_bytes& bytes) {
        bytes.data = reinterpret_cast<const std::uint8_t*>(place(bytes.data, bytes.length));
    };
    own.source.data = place(own.source.data, own.source.length);
    own.congestion.data = place(own.congestion.data, own.congestion.length);
    place_bytes(own.tcp_info);
    for (flowd_attachment& one : attachments) {
        one.id.data = place(one.id.data, one.id.length);
        place_bytes(one.bytes);
    }
    const std::size_t cost = sizeof(Entry) + length + attachments.size() * sizeof(flowd_attachment);

    const std::lock_guard lock(mutex_);
    if (bytes_ + cost > max_bytes_) {
        ++shed_;
        return FLOWD_LIMIT;
    }
    entries_.push_back({own, std::move(attachments), std::move(storage)});
    bytes_ += cost;
    sorted_ = false;
    return FLOWD_OK;
}

std::size_t SamplePeriod::bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}

std::uint64_t SamplePeriod::invalid() const {
    const std::lock_guard lock(mutex_);
    return invalid_;
}

std::uint64_t SamplePeriod::shed() const {
    const std::lock_guard lock(mutex_);
    return shed_;
}

void SamplePeriod::count_shed(std::uint64_t more) {
    const std::lock_guard lock(mutex_);
    shed_ += more;
}

void SamplePeriod::clear() {
    const std::lock_guard lock(mutex_);
    entries_.clear();
    entries_.shrink_to_fit();
    bytes_ = 0;
    invalid_ = 0;
    shed_ = 0;
}

const std::vector<SamplePeriod::Entry>& SamplePeriod::sorted() const {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(sorted_, true))
        std::stable_sort(entries_.begin(), entries_.end(),
                         [](const Entry& a, const Entry& b) { return a.sample.flow_id < b.sample.flow_id; });
    return entries_;
}

void Bus::apply_samples(const SamplePeriod& period) {
    const std::span<const SamplePeriod::Entry> entries = period.sorted();
    state_->samples_invalid += period.invalid();
    state_->samples_shed += period.shed();
    std::vector<std::span<const SamplePeriod::Entry>> flows;
    for (std::size_t i = 0, first = 0; i < entries.size(); first = i) {
        while (i < entries.size() && entries[i].sample.flow_id == entries[first].sample.flow_id) ++i;
        flows.push_back(entries.subspan(first, i - first));
    }
    // Where queues have no room for all, each period begins with other flows.
    const std::size_t first = flows.empty() ? 0 : state_->periods++ * std::uint64_t{0x9e3779b97f4a7c15} % flows.size();
    Notices notices(*state_);
    for (std::size_t i = 0; i < flows.size(); ++i) {
        state_->apply(flows[(first + i) % flows.size()], notices);
        notices.fire();
    }
}

void BusState::apply(std::span<const SamplePeriod::Entry> of_flow, Notices& notices) {
    const Now time = now();
    const std::uint64_t id = of_flow.front().sample.flow_id;
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
    std::vector<flowd_attachment> brought;
    std::vector<flowd_sample> told;
    for (const auto& [sample, attachments, storage] : of_flow) {
        gone = gone || (sample.flags & FLOWD_SAMPLE_GONE) != 0;
        at = std::max(at, sample.time_ns);
        if (shard.usages.take(*flow, sample.usage, reporter_of(sample.source))) flow->seen_ns = time.steady;
        brought.insert(brought.end(), attachments.begin(), attachments.end());
        if (told.size() < samples_per_event)
            told.push_back(sample);
        else
            samples_shed.fetch_add(1, std::memory_order_relaxed);
    }
    if (!brought.empty()) NextKept(shard.kept, flow->kept, brought, attachments_not_kept).give_to(flow->kept);
    if (gone) {
        expire(shard, *flow, Expiry::enricher_gone, time, notices);
        return;
    }
    if (!(shard.active & shard.takes_ongoing)) return;
    Outgoing out = outgoing(*flow, FLOWD_EVENT_ONGOING, at ? at : time.system);
    out.event.flags |= FLOWD_SAMPLED;
    out.payload = shard.kept.payload(flow->kept, {}, told);
    push_ongoing(shard, *flow, out, time.steady, notices);
}

}  // namespace flowd::core
