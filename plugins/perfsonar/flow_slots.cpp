// SPDX-License-Identifier: Apache-2.0
#include "plugins/perfsonar/flow_slots.hpp"

namespace flowd::perfsonar {

std::optional<meter_flow> KernelSlots::read(std::uint32_t slot) const {
    auto flow = program_.flows().lookup(slot);
    if (!flow) return std::nullopt;
    return *flow;
}

void KernelSlots::hide(std::uint32_t slot) {
    __atomic_store_n(&tag(slot), METER_TAG_GONE, __ATOMIC_SEQ_CST);
}

void KernelSlots::clear(std::uint32_t slot) {
    // Zeros first: whoever claims the slot only adds to what is there.
    if (program_.flows().try_update(slot, meter_flow{}, bpf::Update::any) != 0) return;
    __atomic_store_n(&tag(slot), 0u, __ATOMIC_SEQ_CST);
    __atomic_fetch_sub(&program_.state().flows, 1u, __ATOMIC_SEQ_CST);
}

void KernelSlots::for_each(const std::function<void(std::uint32_t slot)>& each) const {
    const auto slots = static_cast<std::uint32_t>(program_.buckets().size() * METER_BUCKET_SLOTS);
    for (std::uint32_t slot = 0; slot < slots; ++slot)
        if (__atomic_load_n(&tag(slot), __ATOMIC_ACQUIRE) & METER_TAG_READY) each(slot);
}

}  // namespace flowd::perfsonar
