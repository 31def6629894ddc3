// SPDX-License-Identifier: Apache-2.0
#include "core/flows/flow_store.hpp"

#include <utility>

namespace flowd::core {

static_assert(sizeof(Flow) <= 192, "a flow with its share of the index must stay within 216 bytes");

std::uint32_t FlowStore::find(const flowd_key& key, std::uint32_t hash, Match& direction) const {
    if (buckets_.empty()) return none;
    for (std::uint32_t at = hash & mask_;; at = (at + 1) & mask_) {
        const Bucket& bucket = buckets_[at];
        if (bucket.index == none) return none;
        if (bucket.hash != hash) continue;
        prefetch(bucket.index);  // the rest of the record, while its key is compared
        direction = match((*this)[bucket.index].key, key);
        if (direction != Match::none) return bucket.index;
    }
}

void FlowStore::prefetch(std::uint32_t index) const {
    const auto* record = reinterpret_cast<const char*>(&(*this)[index]);
    for (std::size_t line = 0; line < sizeof(Flow); line += 64) __builtin_prefetch(record + line, 1);
}

void FlowStore::reserve() {
    if ((linked_ + 1) * std::uint64_t{8} > buckets_.size() * std::uint64_t{7}) grow();
    if (free_ == none && used_ == pages_.size() * page_size) pages_.push_back(std::make_unique<Flow[]>(page_size));
}

std::uint32_t FlowStore::add() {
    std::uint32_t index = free_;
    std::uint64_t id = 0;
    if (index != none) {
        free_ = (*this)[index].older;
        id = (*this)[index].id + (std::uint64_t{1} << 32);
        if (free_ != none) prefetch(free_);
    } else {
        index = used_++;
        id = (std::uint64_t{1} << 32) | (std::uint64_t{shard_} << index_bits) | index;
    }
    Flow& flow = (*this)[index];
    flow = Flow{};
    flow.id = id;
    flow.older = none;
    return index;
}

void FlowStore::link(std::uint32_t index, std::uint32_t hash) {
    std::uint32_t at = hash & mask_;
    while (buckets_[at].index != none) at = (at + 1) & mask_;
    buckets_[at] = {index, hash};
    ++linked_;
}

std::uint32_t FlowStore::position_of(std::uint32_t index, std::uint32_t hash) const {
    std::uint32_t at = hash & mask_;
    while (buckets_[at].index != index) at = (at + 1) & mask_;
    return at;
}

void FlowStore::relink(std::uint32_t from, std::uint32_t to, std::uint32_t hash) {
    buckets_[position_of(from, hash)].index = to;
}

void FlowStore::unlink(std::uint32_t index, std::uint32_t hash) {
    std::uint32_t hole = position_of(index, hash);
    // Those behind the hole move up when that brings them no further than to their own place.
    for (std::uint32_t at = (hole + 1) & mask_; buckets_[at].index != none; at = (at + 1) & mask_) {
        const std::uint32_t home = buckets_[at].hash & mask_;
        if (((at - home) & mask_) >= ((at - hole) & mask_)) {
            buckets_[hole] = buckets_[at];
            hole = at;
        }
    }
    buckets_[hole].index = none;
    --linked_;
}

void FlowStore::remove(std::uint32_t index) {
    Flow& flow = (*this)[index];
    flow.state = FlowState::free;
    flow.older = free_;
    free_ = index;
}

void FlowStore::grow() {
    const auto size = static_cast<std::uint32_t>(buckets_.empty() ? 64 : buckets_.size() * 2);
    std::vector<Bucket> old(size, Bucket{none, 0});
    old.swap(buckets_);
    mask_ = size - 1;
    hint_mask_.store(mask_, std::memory_order_relaxed);
    hint_buckets_.store(buckets_.data(), std::memory_order_relaxed);
    linked_ = 0;
    for (const Bucket& bucket : old)
        if (bucket.index != none) link(bucket.index, bucket.hash);
}

std::size_t FlowStore::bytes() const {
    return pages_.size() * page_size * sizeof(Flow) + pages_.capacity() * sizeof(pages_[0]) +
           buckets_.capacity() * sizeof(Bucket);
}

}  // namespace flowd::core
