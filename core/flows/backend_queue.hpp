// SPDX-License-Identifier: Apache-2.0
// core/flows/backend_queue.hpp: what waits for one backend.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/flows/counters.hpp"
#include "flowd/abi/event.h"

namespace flowd::core {

/// The `queues` group of the configuration.
struct QueueLimits {
    std::size_t events = 65536;                   ///< at least 1
    std::size_t bytes = std::size_t{64} << 20;    ///< attachments and samples
    std::int64_t stall_after_ns = 1'000'000'000;  ///< full and nothing taken for so long: it no longer pushes back
};

/// What became of an event that take() answered.
enum class Fate : std::uint8_t {
    taken,    ///< the backend is responsible for it
    refused,  ///< FLOWD_INVALID: for good
    failed    ///< any other error: it is not offered again
};

/// Events that a backend will never be offered, by kind.
struct Remains {
    std::array<std::uint64_t, event_kinds> events{};

    void add(std::span<const flowd_event> more);
    void add(const Remains& more);
    [[nodiscard]] std::uint64_t total() const;
};

class DeliveryQueue;

/// Made by Bus::add_backend. depth() and name() may be called from any thread, the rest belongs to one, the backend's.
class BackendQueue {
  public:
    static constexpr std::size_t batch = 128;

    /// The next events, at most `batch`, valid until the next take() on this queue. Empty: nothing now, and the next
    /// arrival calls wake; so take until it is empty. A backend that has missed something, or is new, catches up from
    /// the flow table in here. What was answered before and not settled or held counts as taken.
    [[nodiscard]] std::span<const flowd_event> take();
    /// The fate of the first `count` events of those that take() answered last and that have none yet.
    void settle(Fate fate, std::size_t count);
    /// FLOWD_FULL: take() answers again those that have no fate yet. Until the queue is half empty this backend does
    /// not hold anybody back: when its queue is full it is behind at once.
    void hold();
    /// The backend takes nothing more. Answers what it was not offered or did not take, including what only the flow
    /// table remembers for it.
    Remains close();
    [[nodiscard]] std::size_t depth() const;  ///< events waiting; what was taken last is not
    [[nodiscard]] const std::string& name() const;

    explicit BackendQueue(std::shared_ptr<DeliveryQueue> queue);  ///< for Bus
    ~BackendQueue();
    BackendQueue(const BackendQueue&) = delete;
    BackendQueue& operator=(const BackendQueue&) = delete;

  private:
    friend class Bus;
    std::shared_ptr<DeliveryQueue> queue_;
};

}  // namespace flowd::core
