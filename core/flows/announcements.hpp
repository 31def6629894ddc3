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
/// ones are in a list of their own (`further`).
class Announcements {
  public:
    /// Of one instance for one flow. The announcements of further ones refresh the flow and are not remembered.
    static constexpr std::uint32_t max_senders = 8;
    static constexpr std::uint32_t none = FlowStore::none;

    /// The first announcement of a new flow.
    static void begin(Flow& flow, std::uint8_t slot, std::uint64_t sender, std::uint8_t flags);
    /// Makes room for one more, so that join() cannot fail.
    void reserve();
    /// Another announcement of it, from whomever. True: that one did not announce it before.
    bool join(Flow& flow, std::uint8_t slot, std::uint64_t sender, std::uint8_t flags);
    /// The instance announces it no longer, with none of its senders.
    void leave(Flow& flow, std::uint8_t slot);
    /// Nobody does. The flow keeps the flags that it had.
    void clear(Flow& flow);

    /// Whether an end from this sender is an end for its instance, which announces the flow. 0 is not told apart.
    [[nodiscard]] bool may_end(const Flow& flow, std::uint8_t slot, std::uint64_t sender) const;
    [[nodiscard]] bool has_sender(const Flow& flow, std::uint64_t sender) const;
    [[nodiscard]] std::uint32_t count(const Flow& flow) const;
    /// Of one instance.
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

    std::deque<Further> pool_;  ///< which does not move them when it grows, under the shard's lock
    std::uint32_t free_ = none;
};

}  // namespace flowd::core
