// SPDX-License-Identifier: Apache-2.0
#include "core/flows/samples.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <utility>

#include "core/flows/bus.hpp"
#include "core/flows/intake.hpp"
#include "core/flows/kept_attachments.hpp"
#include "core/flows/sized.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t least_sample = offsetof(flowd_sample, time_ns);

bool is_sound(const flowd_sample& sample) {
    const auto absent = [](const void* data, std::size_t length) { return data == nullptr && length > 0; };
    return (sample.flags & ~std::uint32_t{FLOWD_SAMPLE_GONE}) == 0 && is_known(sample.usage) && sample.flow_id != 0 &&
           sample.time_ns >= 0 && sample.source.length <= SamplePeriod::max_text &&
           sample.congestion.length <= SamplePeriod::max_text && sample.tcp_info.length <= SamplePeriod::max_tcp_info &&
           !absent(sample.source.data, sample.source.length) && !absent(sample.tcp_info.data, sample.tcp_info.length) &&
           !absent(sample.congestion.data, sample.congestion.length) &&
           std::all_of(std::begin(sample.reserved), std::end(sample.reserved), [](auto byte) { return byte == 0; });
}

}  // namespace

flowd_result SamplePeriod::add(std::string_view enricher, const flowd_sample* sample) {
    flowd_sample own{};
    const auto refuse = [this] {
        const std::lock_guard lock(mutex_);
        ++invalid_;
        return FLOWD_INVALID;
    };
    // The interface passes one sample by its address, so its own size is the available space.
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
    sorted_.clear();
    entries_.clear();
    entries_.shrink_to_fit();
    bytes_ = 0;
    invalid_ = 0;
    shed_ = 0;
}

std::vector<std::span<const SamplePeriod::Entry* const>> SamplePeriod::by_flow() const {
    const std::lock_guard lock(mutex_);
    // Sorted by flow, then by arrival; the entries stay where they are, because they are large.
    std::vector<std::pair<std::uint64_t, const Entry*>> sorted;
    sorted.reserve(entries_.size());
    for (const Entry& entry : entries_) sorted.emplace_back(entry.sample.flow_id, &entry);
    std::sort(sorted.begin(), sorted.end());
    sorted_.clear();
    for (const auto& [flow_id, entry] : sorted) sorted_.push_back(entry);
    const std::span<const Entry* const> entries = sorted_;
    std::vector<std::span<const Entry* const>> flows;
    for (std::size_t i = 0, first = 0; i < entries.size(); first = i) {
        while (i < entries.size() && sorted[i].first == sorted[first].first) ++i;
        flows.push_back(entries.subspan(first, i - first));
    }
    return flows;
}

}  // namespace flowd::core
