// SPDX-License-Identifier: Apache-2.0
// core/flows/backend_queue.hpp: the queue of events of one backend.
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
    std::int64_t stall_after_ns = 1'000'000'000;  ///< full, and nothing taken for so long: it no longer pushes back
};

/// The outcome of an event that take() has returned.
enum class Fate : std::uint8_t {
    taken,    ///< the backend is responsible for it
    refused,  ///< FLOWD_INVALID: permanently
    failed    ///< any other error: it is not offered again
};

/// The number of events, by kind, that a backend will never receive.
struct Remains {
    std::array<std::uint64_t, event_kinds> events{};

    void add(std::span<const flowd_event> more);
    void add(const Remains& more);
    [[nodiscard]] std::uint64_t total() const;
};

class DeliveryQueue;

/// Created by Bus::add_backend. depth(), name() and acknowledge() may be called from any thread, the rest from the
/// backend's thread.
class BackendQueue {
  public:
    static constexpr std::size_t batch = 128;

    /// The next events, at most `batch`, valid until the next take() on this queue. Empty: there are none, and the next
    /// event calls wake; so take until it is empty. A backend that is new or has missed events is resynchronised from
    /// the flow table here. Events of the last take() that were neither settled nor held count as taken.
    [[nodiscard]] std::span<const flowd_event> take();
    /// Sets the fate of the first `count` events of the last take() that have none yet.
    void settle(Fate fate, std::size_t count);
    /// After FLOWD_FULL: the next take() returns those without a fate again. Until it is half empty, the queue does not
    /// push back: if it is full, it is behind at once.
    void hold();
    /// Any thread. flowd_ext_acknowledge: after the first call, marks wait for this number of settled events.
    void acknowledge(std::uint64_t settled);
    /// Ends the queue. Returns the number of events that were not offered or not taken, including those that only the
    /// flow table still has for this backend.
    Remains close();
    /// Queued events, without those of the last take(), and with those of calls of emit that have not returned yet, which
    /// take() may not return yet.
    [[nodiscard]] std::size_t depth() const;
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
