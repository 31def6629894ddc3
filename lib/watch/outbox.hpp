// SPDX-License-Identifier: Apache-2.0
// lib/watch/outbox.hpp: events on their way to the bus, in order, also when it is full. Belongs to the instance's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

#include "flowd/emit_retry.hpp"
#include "flowd/module.hpp"

namespace flowd::watch {

/// When the bus is full, events wait here and the plugin reads no further until drain() answers true. What may wait is
/// bounded by what the plugin had read at that moment.
class Outbox {
  public:
    /// `again`: what Plugin::on_room does, called when the core could take nothing for another reason than full queues.
    Outbox(Host& host, std::function<void()> again) : host_(host), retry_(host, std::move(again)) {}

    /// False: the core refused it for good.
    bool put(const Event& event);
    /// From Plugin::on_room: true when everything is out.
    bool drain();

    [[nodiscard]] bool full() const { return full_; }
    /// In Plugin::stop: offers what waits until the deadline.
    void stop(const Deadline& deadline);
    void status(json::Writer& object) const;

  private:
    Host& host_;
    std::deque<Event> waiting_;
    EmitRetry retry_;
    bool full_ = false;
    std::uint64_t refused_ = 0, pauses_ = 0;
};

}  // namespace flowd::watch
