// SPDX-License-Identifier: Apache-2.0
#include "plugins/perfsonar/flow_slots.hpp"

#include <cstring>

namespace flowd::perfsonar {

std::optional<meter_flow> KernelSlots::read(std::uint32_t slot) const {
    const std::uint64_t word = load(slot);
    if (word == 0) return meter_flow{};
    auto flow = program_.flows().lookup(meter_slot_number(word));
    if (!flow) return std::nullopt;
    return *flow;
}

void KernelSlots::hide(std::uint32_t slot) {
    __atomic_store_n(&word(slot), meter_slot_word(meter_slot_number(load(slot)), METER_TAG_GONE), __ATOMIC_SEQ_CST);
}

void KernelSlots::clear(std::uint32_t slot) {
    // Zero it first: the BPF program that reuses the index only adds to the counts.
    const std::uint32_t number = meter_slot_number(load(slot));
    if (program_.flows().try_update(number, meter_flow{}, bpf::Update::any) != 0) return;
    __atomic_store_n(&word(slot), 0u, __ATOMIC_SEQ_CST);
    if (program_.free_numbers().push(number) != 0) return;
    __atomic_fetch_sub(&program_.state().flows, 1u, __ATOMIC_SEQ_CST);
}

std::optional<std::uint32_t> KernelSlots::find(const flow_key& key) const {
    const std::uint64_t hash = flow_hash(&key);
    const auto mask = static_cast<std::uint32_t>(program_.buckets().size() - 1);
    for (const std::uint32_t bucket : {meter_first_bucket(hash, mask), meter_second_bucket(hash, mask)})
        for (std::uint32_t slot = bucket * METER_BUCKET_SLOTS; slot < (bucket + 1) * METER_BUCKET_SLOTS; ++slot) {
            const auto tag = static_cast<std::uint32_t>(load(slot));
            if (tag != (meter_tag(hash) | METER_TAG_READY)) continue;
            if (const auto flow = read(slot); flow && std::memcmp(&flow->key, &key, sizeof key) == 0) return slot;
        }
    return std::nullopt;
}

void KernelSlots::for_each(const std::function<void(std::uint32_t slot)>& each) const {
    const auto slots = static_cast<std::uint32_t>(program_.buckets().size() * METER_BUCKET_SLOTS);
    for (std::uint32_t slot = 0; slot < slots; ++slot)
        if ((load(slot) & METER_TAG_READY) != 0) each(slot);
}

}  // namespace flowd::perfsonar
