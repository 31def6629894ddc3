// SPDX-License-Identifier: Apache-2.0
// core/flows/kept_attachments.hpp: the attachments that belong to flows (FLOWD_ATTACHMENT_KEEP), one copy for all
// flows of a shard with the same attachments. Guarded by the shard's lock.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/flows/payload.hpp"
#include "flowd/abi/event.h"
#include "flowd/sized.hpp"

namespace flowd::core {

[[nodiscard]] inline bool is_kept(const flowd_attachment& attachment) {
    return (attachment.flags & FLOWD_ATTACHMENT_KEEP) != 0;
}

/// A flow stores the number of a set, in four bytes: there may be a million flows, and few sets.
class KeptAttachments {
  public:
    static constexpr std::uint32_t none = 0;
    /// Total of the sets of a shard; further ones are not kept.
    static constexpr std::size_t max_bytes = 1 << 20;
    /// Per flow: ids and bytes, and number.
    static constexpr std::size_t max_bytes_of_flow = 16 * 1024;
    static constexpr std::size_t max_of_flow = 64;

    /// The set that results from applying `changes` (those with FLOWD_ATTACHMENT_KEEP) to the set `before`. The caller then
    /// holds the result, and still holds `before`. What exceeds a limit is not kept and added to `not_kept`. If it throws,
    /// nothing has changed.
    std::uint32_t change(std::uint32_t before, std::span<const flowd_attachment> changes, std::uint64_t& not_kept);
    std::uint32_t hold(std::uint32_t number);
    /// Releases one reference and sets `number` to none.
    void release(std::uint32_t& number);
    /// Null for none.
    [[nodiscard]] std::shared_ptr<const Payload> payload(std::uint32_t number) const {
        return number == none ? nullptr : sets_[number - 1].payload;
    }
    /// The attachments of an event that brought `own`, of a flow with the set `number`.
    [[nodiscard]] std::shared_ptr<const Payload> payload(std::uint32_t number, std::span<const flowd_attachment> own,
                                                         std::span<const flowd_sample> samples = {});
    /// The bytes of that payload, where `number` is the set before `own` has changed it.
    [[nodiscard]] std::size_t cost(std::uint32_t number, std::span<const flowd_attachment> own) const {
        if (own.empty()) return number == none ? 0 : sets_[number - 1].payload->bytes();
        return cost_with(number, own);
    }
    [[nodiscard]] std::size_t size() const { return sets_.size() - free_.size(); }

  private:
    struct Set {
        std::size_t hash = 0;
        std::size_t bytes = 0;
        std::shared_ptr<const Payload> payload;
        std::uint32_t holders = 0;
    };
    /// The number of the set in `found_`, referenced; empty: there is no room for it.
    std::optional<std::uint32_t> enter();
    [[nodiscard]] std::size_t cost_with(std::uint32_t number, std::span<const flowd_attachment> own) const;

    std::deque<Set> sets_;  ///< a deque does not move its elements when it grows
    std::vector<std::uint32_t> free_;
    std::size_t bytes_ = 0;  ///< of the sets
    /// By the hash of a set. Several, because a single one would take long to grow, under the shard's lock.
    using Numbers = std::unordered_multimap<std::size_t, std::uint32_t>;
    std::array<Numbers, 16> numbers_;
    [[nodiscard]] Numbers& numbers_of(std::size_t hash) { return numbers_[hash % numbers_.size()]; }
    std::vector<flowd_attachment> found_;  ///< of the last look-up, kept for its memory
};

/// The set of a flow after a change; released again if the change is not applied.
class NextKept {
  public:
    /// Some of `changes` have FLOWD_ATTACHMENT_KEEP, or there are none.
    NextKept(KeptAttachments& kept, std::uint32_t before, std::span<const flowd_attachment> changes,
             std::atomic<std::uint64_t>& not_kept)
        : kept_(kept) {
        std::uint64_t refused = 0;
        number_ = changes.empty() ? kept.hold(before) : kept.change(before, changes, refused);
        if (refused != 0) not_kept.fetch_add(refused, std::memory_order_relaxed);
    }
    ~NextKept() { kept_.release(number_); }
    NextKept(const NextKept&) = delete;
    NextKept& operator=(const NextKept&) = delete;

    /// The attachments of an event that brought `own`.
    [[nodiscard]] std::shared_ptr<const Payload> payload(std::span<const flowd_attachment> own) {
        return own.empty() ? kept_.payload(number_) : kept_.payload(number_, own);
    }
    /// Moves it to the flow; the flow's previous one is released.
    void give_to(std::uint32_t& of_flow) { std::swap(number_, of_flow); }

  private:
    KeptAttachments& kept_;
    std::uint32_t number_;
};

}  // namespace flowd::core
