// SPDX-License-Identifier: Apache-2.0
// core/flows/record_pages.hpp: the memory of the records of all shards. Any thread.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "core/flows/bus_lock.hpp"

namespace flowd::core {

/// Pages are parts of blocks that the kernel can back with one huge page each: records are found at random, and with
/// small pages the processor would have to look up an address for each of them. Memory is never returned.
class RecordPages {
  public:
    static constexpr std::size_t block_bytes = std::size_t{2} << 20;

    /// Aligned to a cache line. Valid as long as this object. `bytes`: the same for all pages, a multiple of a cache line.
    [[nodiscard]] void* take(std::size_t bytes) {
        const std::lock_guard lock(mutex_);
        if (left_ < bytes) add_block();
        left_ -= bytes;
        return blocks_.back().get() + left_;
    }

  private:
    struct Free {
        void operator()(std::byte* block) const { std::free(block); }  // NOLINT: from aligned_alloc
    };

    void add_block() {
        std::unique_ptr<std::byte, Free> block(static_cast<std::byte*>(std::aligned_alloc(block_bytes, block_bytes)));
        if (block == nullptr) throw std::bad_alloc();
        // Not the first one: a small table uses little memory. Without huge pages it works as well.
        if (!blocks_.empty()) (void)madvise(block.get(), block_bytes, MADV_HUGEPAGE);
        blocks_.push_back(std::move(block));
        left_ = block_bytes;
    }

    BusLock<Guards::records> mutex_;
    std::vector<std::unique_ptr<std::byte, Free>> blocks_;
    std::size_t left_ = 0;  ///< of the last block
};

}  // namespace flowd::core
