// SPDX-License-Identifier: Apache-2.0
// core/flows/tombstones.hpp: what a shard keeps of ended flows whose end all backends have received, in the order in
// which they were added. No lock of its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "core/flows/record_pages.hpp"

namespace flowd::core {

/// What tells late events of an ended flow from those of the next flow with its key; the history has the rest.
struct FlowEnd {
    std::int64_t end_ns;      ///< Unix time
    std::int64_t ended_ns;    ///< steady: when the table was told
    std::uint8_t ender;       ///< slot of the plugin that ended it; `nobody`: the core did
    std::uint8_t precedence;  ///< of the instance that gave the tag
    std::uint8_t end_reason;  ///< FLOWD_END_*
};

/// There are many more tombstones of short flows than live flows, so a tombstone has its flow's key only as the seeded hash
/// of 64 bits: if there are a million, an event of another flow is taken for a late one once in 2^44 events.
struct Tombstone {
    std::uint64_t key_hash;
    FlowEnd end;
};
static_assert(sizeof(Tombstone) == 32);

/// A queue. A tombstone keeps its number until it is removed.
class Tombstones {
  public:
    [[nodiscard]] std::uint32_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] const Tombstone& operator[](std::uint32_t number) const {
        return pages_[number / page_size][number % page_size];
    }
    /// The number of the oldest one, of the next one, ...
    [[nodiscard]] std::uint32_t number_of(std::uint32_t nth) const {
        const std::uint32_t at = first_ + nth;
        return in_use_[at / page_size] * page_size + at % page_size;
    }

    /// Returns its number.
    std::uint32_t push(const Tombstone& tombstone, RecordPages& memory) {
        if (first_ + size_ == in_use_.size() * page_size) add_page(memory);
        const std::uint32_t number = number_of(size_++);
        pages_[number / page_size][number % page_size] = tombstone;
        return number;
    }
    /// Removes the oldest one.
    void pop() {
        --size_;
        ++first_;
        if (size_ == 0 && first_ < page_size) first_ = 0;
        if (first_ < page_size) return;
        first_ = 0;
        spare_.push_back(in_use_.front());
        in_use_.pop_front();
    }
    [[nodiscard]] std::size_t bytes() const { return pages_.size() * page_bytes; }

  private:
    static constexpr std::uint32_t page_size = 128;
    static constexpr std::size_t page_bytes = page_size * sizeof(Tombstone);

    void add_page(RecordPages& memory) {
        if (spare_.empty()) {
            if (pages_.size() == pages_.capacity()) pages_.reserve(std::max<std::size_t>(16, 2 * pages_.size()));
            spare_.reserve(pages_.capacity());  // so that pop() cannot fail
            pages_.push_back(static_cast<Tombstone*>(memory.take(page_bytes)));
            spare_.push_back(static_cast<std::uint32_t>(pages_.size() - 1));
        }
        in_use_.push_back(spare_.back());
        spare_.pop_back();
    }

    std::vector<Tombstone*> pages_;     ///< by number
    std::deque<std::uint32_t> in_use_;  ///< pages, the oldest first
    std::vector<std::uint32_t> spare_;  ///< the other pages
    std::uint32_t first_ = 0;           ///< the oldest tombstone, in the oldest page
    std::uint32_t size_ = 0;
};

}  // namespace flowd::core
