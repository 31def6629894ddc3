// SPDX-License-Identifier: Apache-2.0
// A mutex that remembers its longest hold, by what the thread that held it was doing.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "core/base/clock.hpp"

namespace flowd::bench {

/// The longest holds of the locks of one operation. Nanoseconds.
struct Holds {
    struct Longest {
        std::atomic<std::int64_t> wall{0};
        std::atomic<std::int64_t> cpu{0};  ///< of the thread: without the time for which it was not running

        void note(std::int64_t wall_ns, std::int64_t cpu_ns) {
            raise(wall, wall_ns);
            raise(cpu, cpu_ns);
        }
        static void raise(std::atomic<std::int64_t>& to, std::int64_t value) {
            std::int64_t present = to.load(std::memory_order_relaxed);
            while (value > present && !to.compare_exchange_weak(present, value, std::memory_order_relaxed)) {
            }
        }
    };
    Longest shard, other;
    std::atomic<std::uint64_t> count{0};
    std::atomic<std::uint64_t> too_long{0};  ///< more than a millisecond of the thread's time
};

/// What this thread does; null: nothing that is measured.
inline thread_local Holds* operation = nullptr;
inline thread_local int locks_held = 0;

/// The thread's time is read for shards, and for the outermost lock: that reading is a system call.
template <bool of_shard>
class MeasuredMutex {
  public:
    void lock() {
        mutex_.lock();
        begin();
    }
    bool try_lock() {
        if (!mutex_.try_lock()) return false;
        begin();
        return true;
    }
    void unlock() {
        --locks_held;
        if (operation != nullptr) {
            const std::int64_t cpu = timed_ ? core::read_clock(CLOCK_THREAD_CPUTIME_ID) - cpu_ : 0;
            const std::int64_t wall = core::read_clock(CLOCK_MONOTONIC) - wall_;
            (of_shard ? operation->shard : operation->other).note(wall, cpu);
            operation->count.fetch_add(1, std::memory_order_relaxed);
            if (cpu > 1'000'000) operation->too_long.fetch_add(1, std::memory_order_relaxed);
        }
        mutex_.unlock();
    }

  private:
    void begin() {
        timed_ = locks_held++ == 0 || of_shard;
        wall_ = core::read_clock(CLOCK_MONOTONIC);
        if (timed_) cpu_ = core::read_clock(CLOCK_THREAD_CPUTIME_ID);
    }

    std::mutex mutex_;
    std::int64_t wall_ = 0;
    std::int64_t cpu_ = 0;
    bool timed_ = false;
};

}  // namespace flowd::bench
