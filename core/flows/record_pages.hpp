// SPDX-License-Identifier: Apache-2.0
// core/flows/record_pages.hpp: the memory of the records and tombstones of all shards. Any thread.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "core/flows/bus_lock.hpp"

namespace flowd::core {

/// Pages are parts of blocks that the kernel can back with one huge page each: records are found at random, and with small
/// pages the processor has to look up an address for each of them. Memory is never returned.
class RecordPages {
  public:
    static constexpr std::size_t block_bytes = std::size_t{2} << 20;

    /// Aligned to a cache line. Valid as long as this object. `bytes`: a multiple of a cache line.
    [[nodiscard]] void* take(std::size_t bytes) {
        const std::lock_guard lock(mutex_);
        if (left_ < bytes) add_block();
        left_ -= bytes;
        return blocks_.back().get() + left_;
    }

  private:
    struct Unmap {
        void operator()(std::byte* block) const { (void)::munmap(block, block_bytes); }
    };

    void add_block() {
        // Twice as much is mapped, and cut to the aligned half: what aligned_alloc() leaves beside a block could become a
        // huge page of its own.
        void* const area = ::mmap(nullptr, 2 * block_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED) throw std::bad_alloc();
        auto* const begin = static_cast<std::byte*>(area);
        const std::size_t before = -reinterpret_cast<std::uintptr_t>(begin) % block_bytes;
        if (before != 0) (void)::munmap(begin, before);
        (void)::munmap(begin + before + block_bytes, block_bytes - before);
        std::unique_ptr<std::byte, Unmap> block(begin + before);
        // Small pages at first: a huge one is cleared as a whole at its first use, while a shard is locked. Those of a full
        // block are merged in the background.
        (void)::madvise(block.get(), block_bytes, MADV_NOHUGEPAGE);
        if (!blocks_.empty()) (void)::madvise(blocks_.back().get(), block_bytes, MADV_HUGEPAGE);
        blocks_.push_back(std::move(block));
        left_ = block_bytes;
    }

    BusLock<Guards::records> mutex_;
    std::vector<std::unique_ptr<std::byte, Unmap>> blocks_;
    std::size_t left_ = 0;  ///< of the last block
};

}  // namespace flowd::core
