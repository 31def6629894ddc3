// SPDX-License-Identifier: Apache-2.0
// plugins/perfsonar/flow_slots.hpp: the meter's table from user space. For one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "bpf/meter_types.h"
#include "plugins/perfsonar/meter_program.hpp"

namespace flowd::perfsonar {

/// The interface of the table: in the daemon it is the kernel's, in tests it is in memory.
class FlowSlots {
  public:
    FlowSlots() = default;
    FlowSlots(const FlowSlots&) = delete;
    FlowSlots& operator=(const FlowSlots&) = delete;
    virtual ~FlowSlots() = default;

    /// The flow in a slot. Empty: it cannot be read.
    [[nodiscard]] virtual std::optional<meter_flow> read(std::uint32_t slot) const = 0;
    /// From now on look-ups do not find the flow; two seconds later no packet is counted for it any more.
    virtual void hide(std::uint32_t slot) = 0;
    /// Frees a hidden slot.
    virtual void clear(std::uint32_t slot) = 0;
    /// The slot of a flow that look-ups find.
    [[nodiscard]] virtual std::optional<std::uint32_t> find(const flow_key& key) const = 0;
    /// All slots that hold a flow, including hidden ones, except those that are being written at this moment.
    virtual void for_each(const std::function<void(std::uint32_t slot)>& each) const = 0;
};

class KernelSlots final : public FlowSlots {
  public:
    /// Borrows the program.
    explicit KernelSlots(MeterProgram& program) : program_(program) {}
    [[nodiscard]] std::optional<meter_flow> read(std::uint32_t slot) const override;
    void hide(std::uint32_t slot) override;
    void clear(std::uint32_t slot) override;
    [[nodiscard]] std::optional<std::uint32_t> find(const flow_key& key) const override;
    void for_each(const std::function<void(std::uint32_t slot)>& each) const override;

  private:
    [[nodiscard]] std::uint64_t load(std::uint32_t slot) const { return __atomic_load_n(&word(slot), __ATOMIC_ACQUIRE); }
    [[nodiscard]] __u64& word(std::uint32_t slot) const {
        return program_.buckets()[slot / METER_BUCKET_SLOTS].slots[slot % METER_BUCKET_SLOTS];
    }
    MeterProgram& program_;
};

}  // namespace flowd::perfsonar
