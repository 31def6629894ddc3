// SPDX-License-Identifier: Apache-2.0
// core/flows/flow_store.hpp: the records and the tombstones of one shard and the index that finds them. No lock of its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "core/flows/flow_key.hpp"
#include "core/flows/flow_texts.hpp"
#include "core/flows/record_pages.hpp"
#include "core/flows/tombstones.hpp"
#include "flowd/abi/event.h"

namespace flowd::core {

enum class FlowState : std::uint8_t { free, live, ended };

/// As owner, ender or first announcement of a flow: no plugin.
inline constexpr std::uint8_t nobody = 64;

struct FlowTotals {
    std::uint64_t bytes_sent;
    std::uint64_t bytes_received;
    std::uint64_t packets_sent;
    std::uint64_t packets_received;
    friend bool operator==(const FlowTotals&, const FlowTotals&) = default;
};

/// A live flow, or an ended one whose end some backend has not received; then only its Tombstone remains. It must not take
/// more than three cache lines, hence the order and the widths.
struct alignas(64) Flow {
    flowd_key key;
    std::uint64_t id;  ///< see FlowStore::index_of
    std::int64_t start_ns;
    union {
        std::int64_t clock_ns;  ///< live: Unix time minus steady time at its start; a step of the clock does not change it
        std::int64_t end_ns;    ///< ended
    };
    std::int64_t seen_ns;      ///< steady: last announcement; of an ended flow: when it ended
    std::uint64_t announcers;  ///< by slot
    std::uint64_t sender;      ///< the first sender
    FlowTotals usage;
    flowd_tag tag;
    FlowTexts texts;
    std::uint32_t usage_source;  ///< FLOWD_USAGE_*
    std::uint32_t usage_by;      ///< the reporter
    // One bit per backend slot.
    std::uint32_t started;         ///< has received the start
    std::uint32_t retag;           ///< live: has received an earlier tag, not the current one
    std::uint32_t ended;           ///< has received the end, or does not accept it
    std::uint32_t older;           ///< ended flow of this key that a backend has not received; of a free record: the next
    std::uint32_t kept;            ///< of the shard's KeptAttachments
    std::uint32_t further;         ///< of the shard's Announcements
    std::uint16_t announcer;       ///< number of the name of the instance that gave the tag
    std::uint8_t owner;            ///< its slot, or nobody: it was removed
    std::uint8_t precedence;       ///< of the owner
    std::uint8_t first;            ///< slot of the first announcement, or nobody: it was withdrawn
    std::uint8_t first_flags;      ///< ... and its flags
    std::uint8_t flags;            ///< the plugins' FLOWD_* that all announcements set
    std::uint8_t charged;          ///< the plugin towards whose limit it counts
    std::uint8_t ender;            ///< the plugin that ended it
    std::uint8_t end_reason;       ///< FLOWD_END_*
    std::uint8_t local : 3;        ///< FLOWD_LOCAL_*
    std::uint8_t initiator : 2;    ///< FLOWD_INITIATOR_*
    std::uint8_t usage_known : 2;  ///< FLOWD_USAGE_BYTES, FLOWD_USAGE_PACKETS
    FlowState state;
    // Internal state.
    bool usage_rebased : 1;  ///< the shard's Usages have an entry for it
    bool no_start : 1;       ///< only its end was announced
    bool sender_charged : 1;
    bool superseded : 1;     ///< ended, and reachable only through `older` of a later flow of its key
    bool socket_known : 1;   ///< sock_diag has listed it once
    bool socket_marked : 1;  ///< ... and in the dump that is being read
    std::uint8_t socket_missed : 3;

    /// From now on the next announcement of another instance gives the tag.
    void disown() {
        owner = nobody;
        precedence = 0;
    }
};

/// Of a flow that has ended.
[[nodiscard]] inline FlowEnd end_of(const Flow& ended) {
    return {ended.end_ns, ended.seen_ns, ended.ender, ended.precedence, ended.end_reason};
}

class FlowStore {
  public:
    static constexpr std::uint32_t none = 0xffffffff;
    static constexpr unsigned index_bits = 27;

    FlowStore() = default;
    FlowStore(std::uint32_t shard, RecordPages& memory) { set(shard, memory); }
    /// Before its first use. The memory must exist longer than the store.
    void set(std::uint32_t shard, RecordPages& memory) {
        shard_ = shard;
        memory_ = &memory;
    }

    // By index.
    [[nodiscard]] Flow& operator[](std::uint32_t index) { return pages_[index / page_size][index % page_size]; }
    [[nodiscard]] const Flow& operator[](std::uint32_t index) const { return pages_[index / page_size][index % page_size]; }
    /// One past the highest index ever used; there may be free records before it.
    [[nodiscard]] std::uint32_t end() const { return used_; }

    /// The place of what has a key: the index of a record, or else a tombstone, which has no direction.
    /// `hash`: of the key, here and below.
    [[nodiscard]] std::uint32_t find(const flowd_key& key, std::uint64_t hash, Match& direction) const;

    /// Null if the place is none or a tombstone.
    [[nodiscard]] Flow* record_at(std::uint32_t place) { return (place & tombstone_bit) != 0 ? nullptr : &(*this)[place]; }
    [[nodiscard]] const Flow* record_at(std::uint32_t place) const {
        return (place & tombstone_bit) != 0 ? nullptr : &(*this)[place];
    }
    [[nodiscard]] const Tombstone& tombstone_at(std::uint32_t place) const { return tombstones_[place & ~tombstone_bit]; }
    /// Of an ended flow, whether its record is still there or not.
    [[nodiscard]] FlowEnd end_at(std::uint32_t place) const {
        const Flow* const flow = record_at(place);
        return flow != nullptr ? end_of(*flow) : tombstone_at(place).end;
    }
    [[nodiscard]] static bool is_tombstone(std::uint32_t place) { return place != none && (place & tombstone_bit) != 0; }

    /// Prefetches the index entry. Without the shard's lock: at worst a stale entry is fetched.
    void expect(std::uint64_t hash) const {
        const Bucket* const buckets = hint_buckets_.load(std::memory_order_relaxed);
        if (buckets) __builtin_prefetch(buckets + home(hash, hint_size_.load(std::memory_order_relaxed)), 1);
    }
    /// Prefetches the records that may have a key of this hash.
    void expect_record(std::uint64_t hash) const;

    /// Reserves memory for one more record and its index entry, so that add() cannot fail.
    void reserve();
    /// A zeroed record with its id, not yet in the index.
    std::uint32_t add();
    void link(std::uint32_t index, std::uint64_t hash);
    void unlink(std::uint32_t index, std::uint64_t hash);
    /// The index entry of one place is another's.
    void relink(std::uint32_t from, std::uint32_t to, std::uint64_t hash);
    void remove(std::uint32_t index);  ///< it must not be in the index or have texts

    /// Replaces a record, whose texts must have been released, by its tombstone. Returns false if memory is exhausted.
    bool entomb(std::uint32_t index, std::uint64_t hash);
    [[nodiscard]] bool has_tombstones() const { return !tombstones_.empty(); }
    [[nodiscard]] std::uint32_t tombstones() const { return tombstones_.size(); }
    /// The place of the oldest tombstone, of the next one, ...
    [[nodiscard]] std::uint32_t tombstone(std::uint32_t nth) const { return tombstones_.number_of(nth) | tombstone_bit; }
    /// Removes the oldest tombstone. False: another flow has its key, and its entry in the index.
    bool bury();

    /// The record of an id, or null if that flow no longer exists.
    [[nodiscard]] const Flow* by_id(std::uint64_t id) const {
        const auto index = index_of(id);
        if (index >= used_) return nullptr;
        const Flow& flow = (*this)[index];
        return flow.id == id && flow.state != FlowState::free ? &flow : nullptr;
    }
    [[nodiscard]] Flow* by_id(std::uint64_t id) { return const_cast<Flow*>(std::as_const(*this).by_id(id)); }
    /// An id is the record's index with the number of its uses: unique, and found without a search. It stays below 2^53,
    /// which readers of JSON represent exactly: a record that was used 2^21 - 1 times is left unused.
    [[nodiscard]] static std::uint32_t index_of(std::uint64_t id) {
        return static_cast<std::uint32_t>(id & ((1u << index_bits) - 1));
    }
    [[nodiscard]] static std::uint32_t shard_of(std::uint64_t id) {
        return static_cast<std::uint32_t>(id >> index_bits) & 31;
    }
    [[nodiscard]] std::size_t bytes() const;

  private:
    static constexpr std::uint32_t page_size = 64;
    static constexpr unsigned use_shift = 32;
    static constexpr std::uint64_t max_uses = (1u << (53 - use_shift)) - 1;
    static constexpr std::uint32_t tombstone_bit = 0x80000000;  ///< of a place
    struct Bucket {
        std::uint32_t place;  ///< plus one
        std::uint32_t hash;
    };
    static constexpr std::uint32_t empty = 0, moved = none;  ///< as a place; moved: it is in the present index

    /// The place at which the search for a hash begins. A size need not be a power of two, so that the index can grow by
    /// half: there may be a million flows.
    [[nodiscard]] static std::uint32_t home(std::uint64_t hash, std::uint32_t size) {
        return static_cast<std::uint32_t>((hash & 0xffffffff) * size >> 32);
    }
    /// Open addressing, linear probing. In the current index removals leave no marks: later entries shift back. The
    /// system zeroes its memory page by page: half a megabyte at once would hold the shard's lock for long.
    class Index {
      public:
        Index() = default;
        explicit Index(std::uint32_t size)
            : buckets_(static_cast<Bucket*>(std::calloc(size, sizeof(Bucket)))), size_(size) {
            if (!buckets_) throw std::bad_alloc();
        }
        [[nodiscard]] std::uint32_t size() const { return size_; }
        [[nodiscard]] std::uint32_t home(std::uint64_t hash) const { return FlowStore::home(hash, size_); }
        [[nodiscard]] std::uint32_t after(std::uint32_t at) const { return at + 1 == size_ ? 0 : at + 1; }
        [[nodiscard]] std::uint32_t distance(std::uint32_t from, std::uint32_t to) const {
            return to >= from ? to - from : to + size_ - from;
        }
        [[nodiscard]] const Bucket* data() const { return buckets_.get(); }
        [[nodiscard]] Bucket& operator[](std::uint32_t at) { return buckets_[at]; }
        [[nodiscard]] const Bucket& operator[](std::uint32_t at) const { return buckets_[at]; }

      private:
        struct Free {
            void operator()(Bucket* buckets) const { std::free(buckets); }  // NOLINT: from calloc
        };
        std::unique_ptr<Bucket[], Free> buckets_;
        std::uint32_t size_ = 0;
    };

    [[nodiscard]] std::uint32_t find_in(const Index& buckets, const flowd_key& key, std::uint64_t hash,
                                        Match& direction) const;
    [[nodiscard]] Bucket* bucket_of(std::uint32_t place, std::uint64_t hash);  ///< null: it is not in the index
    void empty_bucket(Bucket& bucket);
    void place(Bucket bucket);
    void grow();
    void add_page();
    void move_some();
    void prefetch(std::uint32_t place) const;

    struct Destroy {
        void operator()(Flow* page) const { std::destroy_n(page, page_size); }
    };
    std::vector<std::unique_ptr<Flow[], Destroy>> pages_;
    Tombstones tombstones_;
    RecordPages* memory_ = nullptr;
    Index buckets_;
    Index former_;  ///< the smaller previous one, which is moved in steps with each new record
    std::uint32_t moved_up_to_ = 0;
    std::uint32_t linked_ = 0;
    std::uint32_t used_ = 0;
    std::uint32_t free_ = none;
    std::uint32_t shard_ = 0;
    std::atomic<const Bucket*> hint_buckets_{nullptr};
    std::atomic<std::uint32_t> hint_size_{0};
};

}  // namespace flowd::core
