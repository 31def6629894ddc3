// SPDX-License-Identifier: Apache-2.0
// core/flows/announcements.hpp: who announces a flow: plugin instances and, within one instance, its senders. Guarded by
// the shard's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "core/flows/flow_store.hpp"

namespace flowd::core {

/// Most flows are announced once: that announcement is in the record itself (`first`, `sender`, `first_flags`). Further
/// announcements are in a separate list (`further`).
class Announcements {
  public:
    /// Senders that are kept per instance and flow. Announcements of further senders refresh the flow and are not kept.
    static constexpr std::uint32_t max_senders = 8;
    static constexpr std::uint32_t none = FlowStore::none;

    /// The first announcement of a new flow.
    static void begin(Flow& flow, std::uint8_t slot, std::uint64_t sender, std::uint8_t flags);
    /// Makes room for one more, so that join() cannot fail.
    void reserve();
    /// Another announcement of the flow. True: this instance and sender did not announce it before.
    bool join(Flow& flow, std::uint8_t slot, std::uint64_t sender, std::uint8_t flags);
    /// The instance no longer announces the flow, with any of its senders.
    void leave(Flow& flow, std::uint8_t slot);
    /// No instance announces the flow any more. The flow keeps its flags.
    void clear(Flow& flow);

    /// Whether an end from this sender ends the flow for its instance, which announces it. Senders 0 are not distinguished.
    [[nodiscard]] bool may_end(const Flow& flow, std::uint8_t slot, std::uint64_t sender) const;
    [[nodiscard]] bool has_sender(const Flow& flow, std::uint64_t sender) const;
    [[nodiscard]] std::uint32_t count(const Flow& flow) const;
    /// The announcements of one instance.
    [[nodiscard]] std::uint32_t count(const Flow& flow, std::uint8_t slot) const;

  private:
    struct Further {
        std::uint64_t sender;
        std::uint32_t next;
        std::uint8_t slot;
        std::uint8_t flags;
    };
    template <typename Function>
    void for_each(const Flow& flow, Function&& f) const;
    void give_back(std::uint32_t index);
    void evaluate_flags(Flow& flow) const;

    std::deque<Further> pool_;  ///< a deque does not move its elements when it grows, under the shard's lock
    std::uint32_t free_ = none;
};

}  // namespace flowd::core
