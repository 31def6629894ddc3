// SPDX-License-Identifier: Apache-2.0
// core/flows/sequence_ring.hpp: the latest values of a stream, each with a sequence number. Any thread.
//
// Invariants:
// - A writer takes its number first, and then the lock of that number's stripe. Neighbouring numbers are in different
// stripes,
//   so concurrent writers do not wait for each other.
// - A place holds the value of the highest number that was written to it. A reader that finds a lower one than it looks for
//   has come before the writer; a higher one, too late.
// - Memory is allocated as places are first used, and then reused.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "core/flows/bus_lock.hpp"

namespace flowd::core {

template <typename Value>
class SequenceRing {
  public:
    enum class Place { there, replaced, unwritten };

    /// `first`: the number of the first value; not 0. A capacity of 0 keeps nothing.
    SequenceRing(std::size_t capacity, std::uint64_t first)
        : capacity_(capacity), per_stripe_(capacity / stripe_count + 2), first_(first), next_(first) {
        for (Stripe& stripe : stripes_) stripe.pages.resize(capacity == 0 ? 0 : per_stripe_ / page_size + 1);
    }

    [[nodiscard]] std::size_t capacity() const { return capacity_; }
    [[nodiscard]] std::uint64_t first() const { return first_; }
    [[nodiscard]] std::uint64_t next() const { return next_.load(std::memory_order_acquire); }
    /// The number of the oldest value that is kept, if there is one.
    [[nodiscard]] std::uint64_t oldest() const {
        const std::uint64_t next = this->next();
        return next - first_ > capacity_ ? next - capacity_ : first_;
    }
    [[nodiscard]] std::uint64_t size() const { return next() - oldest(); }

    /// fill(Value&) assigns the next value to its place, which has an older one. Returns its number. Without memory for the
    /// place the value is skipped.
    template <typename Fill>
    std::uint64_t add(Fill&& fill) noexcept {
        if (capacity_ == 0) return 0;
        const std::uint64_t sequence = next_.fetch_add(1, std::memory_order_acq_rel);
        Stripe& stripe = stripes_[(sequence - first_) % stripe_count];
        const std::size_t at = place_of(sequence);
        const std::lock_guard lock(stripe.mutex);
        std::unique_ptr<Page>& page = stripe.pages[at / page_size];
        if (page == nullptr) page.reset(new (std::nothrow) Page);
        if (page == nullptr) return sequence;
        Slot& slot = page->slots[at % page_size];
        if (slot.sequence > sequence) return sequence;  // this thread was suspended for the length of the ring
        fill(slot.value);
        slot.sequence = sequence;
        // The slot that this stripe writes next is in no cache: it was written a whole round of the ring ago.
        if (at % page_size + 1 < page_size) prefetch(page->slots[at % page_size + 1]);
        return sequence;
    }

    [[nodiscard]] Place get(std::uint64_t sequence, Value& out) const {
        if (sequence < oldest()) return Place::replaced;
        const Stripe& stripe = stripes_[(sequence - first_) % stripe_count];
        const std::size_t at = place_of(sequence);
        const std::lock_guard lock(stripe.mutex);
        const Page* const page = stripe.pages[at / page_size].get();
        if (page == nullptr || page->slots[at % page_size].sequence < sequence) return Place::unwritten;
        if (page->slots[at % page_size].sequence > sequence) return Place::replaced;
        out = page->slots[at % page_size].value;
        return Place::there;
    }

    /// Releases the memory; numbers continue.
    void clear() {
        for (Stripe& stripe : stripes_) {
            const std::lock_guard lock(stripe.mutex);
            for (std::unique_ptr<Page>& page : stripe.pages) page.reset();
        }
    }

  private:
    static constexpr std::size_t stripe_count = 64;
    struct Slot {
        std::uint64_t sequence = 0;
        Value value{};
    };
    static constexpr std::size_t page_size = 16;
    struct Page {
        std::array<Slot, page_size> slots;
    };
    struct alignas(64) Stripe {
        mutable BusLock<Guards::ring> mutex;
        std::vector<std::unique_ptr<Page>> pages;
    };
    static void prefetch(const Slot& slot) {
        const auto* const bytes = reinterpret_cast<const char*>(&slot);
        for (std::size_t line = 0; line < sizeof slot; line += 64) __builtin_prefetch(bytes + line, 1);
    }
    [[nodiscard]] std::size_t place_of(std::uint64_t sequence) const {
        return static_cast<std::size_t>((sequence - first_) / stripe_count % per_stripe_);
    }

    const std::size_t capacity_;
    const std::size_t per_stripe_;
    const std::uint64_t first_;
    std::array<Stripe, stripe_count> stripes_;
    alignas(64) std::atomic<std::uint64_t> next_;
};

}  // namespace flowd::core
