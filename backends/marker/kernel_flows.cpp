// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/kernel_flows.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <type_traits>
#include <utility>

#include "lib/bpf/error.hpp"

namespace flowd::marker {
namespace {

template <typename T>
T load(T& word) {
    return std::atomic_ref<T>(word).load(std::memory_order_relaxed);
}
template <typename T>
void store(T& word, std::type_identity_t<T> value) {
    // Release order, which suffices for BPF programs, too: they cannot request acquire order.
    std::atomic_ref<T>(word).store(value, std::memory_order_release);
}

std::uint64_t with_proof(std::uint32_t word, std::uint64_t hash) {
    return hash << 32 | word;
}

bool is_taken(marker_flow& slot) {
    return (load(slot.label) & MARKER_IS_SET) != 0;
}

KernelFlows::Flow flow_in(marker_flow& slot) {
    return {slot.key,
            {static_cast<std::uint32_t>(slot.label), static_cast<std::uint32_t>(slot.rest)},
            load(slot.seen),
            slot.started};
}

std::array<__u64, 5> words_of(const flow_key& key) {
    std::array<__u64, 5> words;
    std::memcpy(words.data(), &key, sizeof words);
    return words;
}

}  // namespace

std::uint32_t KernelFlows::buckets_for(std::uint32_t flows) {
    return std::max(1u, (flows * 2 + MARKER_BUCKET_SLOTS - 1) / MARKER_BUCKET_SLOTS);
}

KernelFlows::KernelFlows(KernelFlows&& other) noexcept
    : map_(other.map_), buckets_(other.buckets_), memory_(std::exchange(other.memory_, nullptr)) {}

Result<void> KernelFlows::map_memory() {
    if (memory_ != nullptr) return {};
    void* const memory =
        ::mmap(nullptr, std::size_t{buckets_} * sizeof(marker_bucket), PROT_READ | PROT_WRITE, MAP_SHARED, map_, 0);
    if (memory == MAP_FAILED) return bpf::system_error(errno, "mapping the flow table");
    memory_ = static_cast<marker_bucket*>(memory);
    return {};
}

void KernelFlows::unmap() {
    if (memory_ != nullptr) ::munmap(std::exchange(memory_, nullptr), std::size_t{buckets_} * sizeof(marker_bucket));
}

marker_flow& KernelFlows::slot_at(std::uint64_t hash, std::uint32_t distance) const {
    const std::uint32_t bucket = (marker_home_bucket(hash, buckets_) + distance / MARKER_BUCKET_SLOTS) % buckets_;
    const std::uint32_t slot = (marker_home_slot(hash) + distance) % MARKER_BUCKET_SLOTS;
    return memory_[bucket].slots[slot];
}

std::uint32_t KernelFlows::longest_way() const {
    return std::min(buckets_, MARKER_PROBED_BUCKETS) * MARKER_BUCKET_SLOTS;
}

KernelFlows::Place KernelFlows::look_for(const flow_key& key, std::uint64_t hash) const {
    Place place;
    for (std::uint32_t distance = 0; distance < longest_way(); ++distance) {
        marker_flow& slot = slot_at(hash, distance);
        if (is_taken(slot)) {
            if (std::memcmp(&slot.key, &key, sizeof key) == 0) {
                place.slot = &slot;
                place.slot_distance = distance;
                return place;
            }
        } else if (place.free == nullptr) {
            place.free = &slot;
            place.free_distance = distance;
        }
        if (load(slot.passed) == 0 && place.free != nullptr) break;
    }
    return place;
}

Result<KernelFlows::Put> KernelFlows::put(const Flow& flow) {
    if (auto mapped = map_memory(); !mapped) return std::move(mapped).error();
    const std::uint64_t hash = flow_hash(&flow.key);
    const Place place = look_for(flow.key, hash);
    if (place.slot != nullptr) {
        store(place.slot->rest, with_proof(flow.mark.rest, hash));
        store(place.slot->label, with_proof(flow.mark.label, hash));
        store(place.slot->seen, flow.seen);
        return Put::replaced;
    }
    if (place.free == nullptr) return Put::no_room;
    // The slots before it are written first; the word that makes it visible is written last.
    for (std::uint32_t distance = 0; distance < place.free_distance; ++distance) {
        marker_flow& passed = slot_at(hash, distance);
        store(passed.passed, static_cast<__u16>(load(passed.passed) + 1));
    }
    marker_flow& slot = *place.free;
    const auto words = words_of(flow.key);
    auto* const key = reinterpret_cast<__u64*>(&slot.key);
    for (std::size_t i = 0; i < words.size(); ++i) store(key[i], words[i]);
    store(slot.seen, flow.seen);
    slot.started = flow.started;
    store(slot.rest, with_proof(flow.mark.rest, hash));
    store(slot.label, with_proof(flow.mark.label, hash));
    return Put::created;
}

Result<bool> KernelFlows::erase(const flow_key& key) {
    if (auto mapped = map_memory(); !mapped) return std::move(mapped).error();
    const std::uint64_t hash = flow_hash(&key);
    const Place place = look_for(key, hash);
    if (place.slot == nullptr) return false;
    store(place.slot->label, __u64{0});
    store(place.slot->rest, __u64{0});
    for (std::uint32_t distance = 0; distance < place.slot_distance; ++distance) {
        marker_flow& passed = slot_at(hash, distance);
        store(passed.passed, static_cast<__u16>(load(passed.passed) - 1));
    }
    return true;
}

Result<std::optional<KernelFlows::Flow>> KernelFlows::find(const flow_key& key) {
    if (auto mapped = map_memory(); !mapped) return std::move(mapped).error();
    const Place place = look_for(key, flow_hash(&key));
    if (place.slot == nullptr) return std::optional<Flow>{};
    return std::optional<Flow>{flow_in(*place.slot)};
}

Result<void> KernelFlows::visit(const std::function<void(const Flow&)>& each) {
    if (auto mapped = map_memory(); !mapped) return mapped;
    for (std::uint32_t bucket = 0; bucket < buckets_; ++bucket)
        for (marker_flow& slot : memory_[bucket].slots)
            if (is_taken(slot)) each(flow_in(slot));
    return {};
}

}  // namespace flowd::marker
