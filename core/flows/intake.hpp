// SPDX-License-Identifier: Apache-2.0
// core/flows/intake.hpp: the customs of the bus: what a plugin offers, checked and copied.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "core/flows/bus.hpp"
#include "core/flows/counters.hpp"
#include "flowd/abi/event.h"

namespace flowd::core {

/// An event in this core's own layout, whatever the module's. Texts and bytes are still the module's.
struct Incoming {
    flowd_event event;
    std::array<flowd_attachment, Bus::max_attachments> attachment;
    std::size_t attachment_count;
    std::size_t attachment_bytes;

    [[nodiscard]] std::span<const flowd_attachment> attachments() const { return {attachment.data(), attachment_count}; }
};

/// Fills `in` from the event at `data`. Nothing: it is in order.
std::optional<Refusal> take_in(const void* data, std::size_t stride, Incoming& in);

/// `in` seen from the other end of the tuple.
void turn_round(flowd_event& event);

}  // namespace flowd::core
