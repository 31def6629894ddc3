// SPDX-License-Identifier: Apache-2.0
// core/flows/backend_queue.hpp: what waits for one backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "flowd/abi/event.h"

namespace flowd::core {

/// The `queues` group of the configuration.
struct QueueLimits {
    std::size_t events = 65536;                    ///< at least 1
    std::size_t bytes = std::size_t{64} << 20;     ///< attachments and samples
    std::int64_t stall_after_ns = 10'000'000'000;  ///< full and nothing taken for so long: it no longer pushes back
};

struct BusState;
struct QueueCore;

/// Made by Bus::add_backend. take() belongs to one thread, the backend's; the rest to any.
class BackendQueue {
  public:
    static constexpr std::size_t batch = 128;

    /// The next events, at most `batch`, valid until the next take() on this queue. Empty: nothing now, and the next
    /// arrival calls wake; so take until it is empty. A backend that has missed something, or is new, catches up from
    /// the flow table in here.
    [[nodiscard]] std::span<const flowd_event> take();
    [[nodiscard]] std::size_t depth() const;  ///< events waiting; what was taken last is not
    [[nodiscard]] const std::string& name() const;

    explicit BackendQueue(std::shared_ptr<QueueCore> core);  ///< for Bus
    ~BackendQueue();
    BackendQueue(const BackendQueue&) = delete;
    BackendQueue& operator=(const BackendQueue&) = delete;

  private:
    friend class Bus;
    std::shared_ptr<QueueCore> core_;
};

}  // namespace flowd::core
