// SPDX-License-Identifier: Apache-2.0
// core/flows/intake.hpp: checks and copies the events that a plugin emits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/flows/bus.hpp"
#include "core/flows/counters.hpp"
#include "flowd/abi/event.h"

namespace flowd::core {

/// An event in this core's layout, whatever the module's. Texts and bytes are still the module's.
struct Incoming {
    flowd_event event;
    std::uint64_t key_hash;  ///< of an event of a flow
    std::array<flowd_attachment, Bus::max_attachments> attachment;
    std::size_t attachment_count;
    bool keeps;  ///< at least one attachment is to be kept

    [[nodiscard]] std::span<const flowd_attachment> attachments() const { return {attachment.data(), attachment_count}; }
    [[nodiscard]] std::span<const flowd_attachment> to_keep() const {
        return keeps ? attachments() : std::span<const flowd_attachment>();
    }
};

/// Fills `in` from the event at `data`. Empty: it is valid. `own_scope` as in normalise().
std::optional<Refusal> take_in(const void* data, std::size_t stride, std::uint32_t own_scope, Incoming& in);

/// Copies an array of attachments from outside into `to`, which has room for Bus::max_attachments.
std::optional<Refusal> take_in_attachments(const flowd_attachment* attachments, std::size_t count, std::size_t stride,
                                           flowd_attachment* to);

/// Whether `known` has only known bits.
[[nodiscard]] bool is_known(const flowd_usage& usage);

/// At most `most` bytes, truncated at the start of a character.
[[nodiscard]] flowd_string cut_at_character(flowd_string text, std::size_t most);

/// Reverses the orientation of `event`.
void turn_round(flowd_event& event);

}  // namespace flowd::core
