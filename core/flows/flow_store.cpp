// SPDX-License-Identifier: Apache-2.0
#include "core/flows/flow_store.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace flowd::core {

static_assert(sizeof(Flow) <= 192, "a flow with its share of the index must stay within 208 bytes");

namespace {

// Entries of the former index that are moved with each new record. It is empty long before the current one is full.
constexpr std::uint32_t moved_at_a_time = 64;

/// What the index has of a hash.
std::uint32_t part_of(std::uint64_t hash) {
    return static_cast<std::uint32_t>(hash);
}

}  // namespace

std::uint32_t FlowStore::find(const flowd_key& key, std::uint64_t hash, Match& direction) const {
    const std::uint32_t found = find_in(buckets_, key, hash, direction);
    if (former_.size() == 0 || record_at(found) != nullptr) return found;
    const std::uint32_t former = find_in(former_, key, hash, direction);
    return former != none ? former : found;
}

std::uint32_t FlowStore::find_in(const Index& buckets, const flowd_key& key, std::uint64_t hash, Match& direction) const {
    if (buckets.size() == 0) return none;
    std::uint32_t found = none;
    for (std::uint32_t at = buckets.home(hash); buckets[at].place != empty; at = buckets.after(at)) {
        const Bucket& bucket = buckets[at];
        if (bucket.hash != part_of(hash) || bucket.place == moved) continue;
        const std::uint32_t place = bucket.place - 1;
        prefetch(place);  // the rest of the record, while its key is compared
        if (const Flow* const flow = record_at(place)) {
            direction = match(flow->key, key);
            if (direction != Match::none) return place;
        } else if (tombstone_at(place).key_hash == hash) {
            found = place;  // unless there is a record: the tombstone may be that of another key
        }
    }
    return found;
}

void FlowStore::expect_record(std::uint64_t hash) const {
    if (buckets_.size() == 0) return;
    for (std::uint32_t at = buckets_.home(hash); buckets_[at].place != empty; at = buckets_.after(at))
        if (buckets_[at].hash == part_of(hash) && buckets_[at].place != moved) return prefetch(buckets_[at].place - 1);
}

void FlowStore::prefetch(std::uint32_t place) const {
    __asm__ volatile("");  // GCC takes a function that only prefetches for one without effect, and removes calls of it
    if (is_tombstone(place)) return __builtin_prefetch(&tombstone_at(place));
    const auto* record = reinterpret_cast<const char*>(&(*this)[place]);
    for (std::size_t line = 0; line < sizeof(Flow); line += 64) __builtin_prefetch(record + line, 1);
}

void FlowStore::reserve() {
    move_some();
    if ((linked_ + 1) * std::uint64_t{5} > buckets_.size() * std::uint64_t{4}) grow();
    if (free_ == none && used_ == pages_.size() * page_size) add_page();
}

void FlowStore::add_page() {
    if (pages_.size() == pages_.capacity()) pages_.reserve(std::max<std::size_t>(16, 2 * pages_.size()));
    pages_.emplace_back(new (memory_->take(page_size * sizeof(Flow))) Flow[page_size]());
}

std::uint32_t FlowStore::add() {
    std::uint32_t index = free_;
    std::uint64_t id = 0;
    if (index != none) {
        free_ = (*this)[index].older;
        id = (*this)[index].id + (std::uint64_t{1} << use_shift);
        if (free_ != none) prefetch(free_);
    } else {
        index = used_++;
        id = (std::uint64_t{1} << use_shift) | (std::uint64_t{shard_} << index_bits) | index;
    }
    Flow& flow = (*this)[index];
    flow = Flow{};
    flow.id = id;
    flow.older = none;
    return index;
}

void FlowStore::place(Bucket bucket) {
    std::uint32_t at = buckets_.home(bucket.hash);
    while (buckets_[at].place != empty) at = buckets_.after(at);
    buckets_[at] = bucket;
}

void FlowStore::link(std::uint32_t index, std::uint64_t hash) {
    place({index + 1, part_of(hash)});
    ++linked_;
}

FlowStore::Bucket* FlowStore::bucket_of(std::uint32_t place, std::uint64_t hash) {
    for (Index* const buckets : {&buckets_, &former_}) {
        if (buckets->size() == 0) continue;
        for (std::uint32_t at = buckets->home(hash); (*buckets)[at].place != empty; at = buckets->after(at))
            if ((*buckets)[at].place == place + 1) return &(*buckets)[at];
    }
    return nullptr;
}

void FlowStore::relink(std::uint32_t from, std::uint32_t to, std::uint64_t hash) {
    bucket_of(from, hash)->place = to + 1;
}

void FlowStore::unlink(std::uint32_t index, std::uint64_t hash) {
    empty_bucket(*bucket_of(index, hash));
}

void FlowStore::empty_bucket(Bucket& bucket) {
    --linked_;
    const std::less<const Bucket*> before;
    if (before(&bucket, buckets_.data()) || !before(&bucket, buckets_.data() + buckets_.size())) {
        bucket.place = moved;
        return;
    }
    auto hole = static_cast<std::uint32_t>(&bucket - buckets_.data());
    // Entries after the hole move up unless that would move them before their own place.
    for (std::uint32_t at = buckets_.after(hole); buckets_[at].place != empty; at = buckets_.after(at)) {
        if (buckets_.distance(buckets_.home(buckets_[at].hash), at) >= buckets_.distance(hole, at)) {
            buckets_[hole] = buckets_[at];
            hole = at;
        }
    }
    buckets_[hole].place = empty;
}

bool FlowStore::entomb(std::uint32_t index, std::uint64_t hash) {
    std::uint32_t number = 0;
    try {
        number = tombstones_.push({hash, end_of((*this)[index])}, *memory_);
    } catch (const std::bad_alloc&) {
        return false;
    }
    relink(index, number | tombstone_bit, hash);
    remove(index);
    return true;
}

bool FlowStore::bury() {
    const std::uint32_t oldest = tombstone(0);
    Bucket* const bucket = bucket_of(oldest, tombstone_at(oldest).key_hash);
    if (bucket != nullptr) empty_bucket(*bucket);
    tombstones_.pop();
    return bucket != nullptr;
}

void FlowStore::remove(std::uint32_t index) {
    Flow& flow = (*this)[index];
    flow.state = FlowState::free;
    if (flow.id >> use_shift == max_uses) return;
    flow.older = free_;
    free_ = index;
}

void FlowStore::grow() {
    while (former_.size() != 0) move_some();
    Index larger(buckets_.size() == 0 ? 64 : buckets_.size() + buckets_.size() / 2);
    former_ = std::exchange(buckets_, std::move(larger));
    moved_up_to_ = 0;
    hint_size_.store(buckets_.size(), std::memory_order_relaxed);
    hint_buckets_.store(buckets_.data(), std::memory_order_relaxed);
}

void FlowStore::move_some() {
    if (former_.size() == 0) return;
    const std::uint32_t stop = std::min(former_.size(), moved_up_to_ + moved_at_a_time);
    for (; moved_up_to_ < stop; ++moved_up_to_) {
        Bucket& bucket = former_[moved_up_to_];
        if (bucket.place == empty) continue;  // a search ends here
        if (bucket.place != moved) place(bucket);
        bucket.place = moved;
    }
    if (stop == former_.size()) former_ = Index();
}

std::size_t FlowStore::bytes() const {
    return pages_.size() * page_size * sizeof(Flow) + pages_.capacity() * sizeof(pages_[0]) + tombstones_.bytes() +
           (std::size_t{buckets_.size()} + former_.size()) * sizeof(Bucket);
}

}  // namespace flowd::core
