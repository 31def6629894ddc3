// SPDX-License-Identifier: Apache-2.0
// core/flows/bus_lock.hpp: the locks of the bus. A program that measures how long they are held compiles core/flows with
// FLOWD_MEASURE_LOCKS (tests/bench/lock_benchmark.cpp); otherwise they are std::mutex.
#pragma once

#include <mutex>

#ifdef FLOWD_MEASURE_LOCKS
#include "tests/bench/measured_mutex.hpp"
#endif

namespace flowd::core {

enum class Guards { shard, queue, registration, marks, catch_all, senders, ring, records };

#ifdef FLOWD_MEASURE_LOCKS
template <Guards what>
using BusLock = bench::MeasuredMutex<what == Guards::shard>;
#else
template <Guards>
using BusLock = std::mutex;
#endif

}  // namespace flowd::core
