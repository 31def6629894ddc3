// SPDX-License-Identifier: Apache-2.0
// core/flows/owed_ids.hpp: the ids of a shard's ended flows whose end some recipient has not received, the oldest first.
// No lock of its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace flowd::core {

/// Ids stay here when their flow is removed. Those in front are popped; tidy() drops those behind one that stays for long.
class OwedIds {
  public:
    /// With fewer ids than `least`, none is looked for.
    explicit OwedIds(std::size_t least = 1024) : least_(least) {}
    [[nodiscard]] bool empty() const { return ids_.empty(); }
    [[nodiscard]] std::uint64_t front() const { return ids_.front(); }
    void push_back(std::uint64_t id) { ids_.push_back(id); }
    void pop_front() {
        ids_.pop_front();
        if (kept_ > 0) --kept_;
        if (seen_ > 0) --seen_;
    }
    void replace_last(std::uint64_t id) { ids_.back() = id; }
    /// Removes this id if it is the last one.
    void undo(std::uint64_t id) {
        if (ids_.empty() || ids_.back() != id) return;
        ids_.pop_back();
        seen_ = std::min(seen_, ids_.size());
        kept_ = std::min(kept_, ids_.size());
    }
    [[nodiscard]] std::size_t bytes() const { return ids_.size() * sizeof(ids_[0]); }
    /// Once there are twice as many ids as the last time: keeps those for which is_owed(id) holds. Each call goes on where
    /// the one before stopped, and looks at `left` ids at most. They keep their order.
    template <typename Function>
    void tidy(std::uint32_t& left, Function&& is_owed) {
        if (ids_.size() < next_size_) return;
        for (; left > 0 && seen_ < ids_.size(); --left, ++seen_)
            if (is_owed(ids_[seen_])) ids_[kept_++] = ids_[seen_];
        if (seen_ < ids_.size()) return;
        ids_.resize(kept_);
        next_size_ = least_ + 2 * kept_;
        kept_ = seen_ = 0;
    }

  private:
    const std::size_t least_;
    std::deque<std::uint64_t> ids_;
    std::size_t next_size_ = least_;
    std::size_t kept_ = 0;  ///< before this, tidy() has kept all; from here up to `seen_` are what it has dropped or moved
    std::size_t seen_ = 0;
};

}  // namespace flowd::core
