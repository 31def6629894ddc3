// SPDX-License-Identifier: Apache-2.0
// flowd/outbox.hpp: how a plugin emits events: in order, in batches, and with back-pressure.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/module.hpp"

namespace flowd {

/// Sends the events of a plugin to the core. [instance], or of one thread of the module; must not outlive its Host.
///
///     Outbox outbox_{host(), [this](bool has_room) { ... }};                   // resume reading, or stop reading
///     outbox_.put(Event::start(key, tag));                                     // unless outbox_.full()
///     void on_room() override { outbox_.drain(); }
///     Result<void> stop(Deadline deadline) override { outbox_.stop(deadline); return {}; }
///
/// While the core has no room, events wait here and full() is true. The plugin then stops reading, which bounds the number
/// of events that wait, and delays its source as well. After FLOWD_FULL the core calls on_room. After another error (for
/// example no memory) it does not: the outbox offers the events again itself, a limited number of times, then discards the
/// first one, so that neither the plugin nor its clients wait indefinitely. An event that the core refuses permanently
/// (FLOWD_INVALID, FLOWD_LIMIT) is counted and skipped.
class Outbox {
  public:
    /// The final result of an event.
    struct Settled {
        const flowd_event& event;
        std::uint64_t token;    ///< of add()
        flowd_result result;    ///< FLOWD_OK: it was taken; otherwise it was discarded
        std::uint64_t flow_id;  ///< if it was taken; 0: its flow has ended (Host::emit)
    };
    /// Called when there is no room any more, and when there is room again. May put events into the outbox.
    using OnRoom = std::function<void(bool has_room)>;
    /// Called for each event, in order. Must not put events into the outbox.
    using OnSettled = std::function<void(const Settled&)>;

    /// Has drain() called after a delay. False: it cannot.
    using Later = std::function<bool(std::chrono::milliseconds delay)>;

    /// `later`: for an outbox that belongs to a thread of the module; without it, the host's timers are used.
    explicit Outbox(const Host& host, OnRoom on_room = {}, OnSettled on_settled = {}, Later later = {})
        : host_(host), on_room_(std::move(on_room)), on_settled_(std::move(on_settled)), later_(std::move(later)) {
        if (!later_)
            later_ = [this](std::chrono::milliseconds delay) {
                auto timer = host_.after(delay, [this] { drain(); });
                if (timer) again_ = std::move(*timer);
                return static_cast<bool>(timer);
            };
    }
    Outbox(const Outbox&) = delete;
    Outbox& operator=(const Outbox&) = delete;

    /// Emits it, or queues it. False: it was refused permanently.
    bool put(Event event, std::uint64_t token = 0) {
        flush();
        const std::uint64_t before = refused_;
        add(std::move(event), token);
        flush();
        return refused_ == before;
    }
    /// Adds one of many: emitted with the next ones or by flush(), which is cheaper than one at a time.
    void add(Event event, std::uint64_t token = 0) {
        auto owner = std::make_unique<Event>(std::move(event));
        const flowd_event& raw = owner->raw();
        add(raw, token, std::move(owner));
    }
    /// Borrows: everything that `event` points to must be valid until the event is settled.
    void add(const flowd_event& event, std::uint64_t token = 0) { add(event, token, nullptr); }
    /// Emits what was added, unless earlier events wait for room. True: nothing waits.
    bool flush() { return !full() && drain(); }

    /// For Plugin::on_room: offers what waits. True: nothing waits any more.
    bool drain() {
        std::size_t done = 0;
        bool blocked = false;
        while (done < events_.size() && !blocked) {
            const auto offered = std::span(events_).subspan(done, std::min(batch, events_.size() - done));
            std::array<std::uint64_t, batch> ids{};
            const Emitted emitted = host_.emit(offered, ids);
            const std::size_t taken = emitted.ok() ? offered.size() : emitted.accepted;
            for (std::size_t i = 0; i < taken; ++i) settle(done++, FLOWD_OK, ids[i]);
            if (taken > 0) tries_ = 0;
            if (emitted.ok()) continue;
            blocked = !is_final(emitted.result);
            if (!blocked) settle(done++, emitted.result, 0);
            reason_ = emitted.result;
        }
        events_.erase(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(done));
        kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(done));
        if (std::exchange(full_, blocked) != blocked) {
            if (blocked) ++pauses_;
            if (on_room_) on_room_(!blocked);
        }
        return events_.empty();
    }

    /// Events wait, and further ones would be queued after them.
    [[nodiscard]] bool full() const { return full_; }
    /// The reason: FLOWD_FULL, FLOWD_STOPPED (the instance was stopped), or an error.
    [[nodiscard]] flowd_result reason() const { return full_ ? reason_ : flowd_result{FLOWD_OK}; }
    [[nodiscard]] std::size_t waiting() const { return events_.size(); }
    /// Number of waiting starts of flows that the core does not know. Other flows it ends itself when the instance stops.
    [[nodiscard]] std::size_t waiting_starts() const {
        return static_cast<std::size_t>(std::count_if(events_.begin(), events_.end(), [](const flowd_event& event) {
            return event.kind == FLOWD_EVENT_START && event.flow_id == 0;
        }));
    }

    /// For Plugin::stop: offers what waits until the deadline; flows whose start still waits then are lost.
    void stop(const Deadline& deadline) {
        on_room_ = {};
        deadline.await([this] { return drain(); });
        host_.lost(waiting_starts(), "flows were not announced before the stop");
        clear();
    }
    /// Discards what waits. Returns the number of discarded events: the caller counts them.
    std::size_t clear() {
        const std::size_t left = events_.size();
        events_.clear();
        kept_.clear();
        again_.reset();
        full_ = false;
        return left;
    }

    /// Names of the kinds of flow events in status and metrics; index as in taken().
    static constexpr std::array<std::string_view, 4> kinds{"", "start", "ongoing", "end"};
    [[nodiscard]] const std::array<std::uint64_t, 4>& taken() const { return taken_; }
    [[nodiscard]] const std::uint64_t& refused() const { return refused_; }  ///< permanently, including discarded ones
    [[nodiscard]] const std::uint64_t& pauses() const { return pauses_; }    ///< number of times that there was no room

    static constexpr std::size_t batch = 64;  ///< events per call of emit
    static constexpr std::size_t most_waiting =
        65536;  ///< further ones are refused, for a plugin that does not stop reading
    static constexpr int most_tries = 6;
    static constexpr std::chrono::milliseconds first_pause{100}, last_pause{2000};

  private:
    struct Kept {
        std::uint64_t token;
        std::unique_ptr<Event> owner;  ///< null: it is borrowed
    };

    void add(const flowd_event& event, std::uint64_t token, std::unique_ptr<Event> owner) {
        events_.push_back(event);
        kept_.push_back({token, std::move(owner)});
        if (!full_ && events_.size() >= batch) drain();
        if (events_.size() <= most_waiting) return;
        settle(events_.size() - 1, FLOWD_FULL, 0);
        events_.pop_back();
        kept_.pop_back();
    }
    void settle(std::size_t index, flowd_result result, std::uint64_t flow_id) {
        const flowd_event& event = events_[index];
        if (result != FLOWD_OK)
            ++refused_;
        else if (event.kind < taken_.size())
            ++taken_[event.kind];
        if (on_settled_) on_settled_({event, kept_[index].token, result, flow_id});
    }

    /// Whether the core will never take the first event that it did not take. If not, that event is offered again.
    bool is_final(flowd_result result) {
        if (result == FLOWD_INVALID || result == FLOWD_LIMIT) {
            tries_ = 0;
            return true;
        }
        if (result == FLOWD_FULL || result == FLOWD_STOPPED) return false;
        if (tries_ == most_tries) {  // not reset: while the core takes nothing, each event is tried once
            if (!std::exchange(gave_up_, true))
                host_.warning("the core did not take an event in " + std::to_string(most_tries) +
                              " tries; it is left out, as are further ones until it takes one");
            return true;
        }
        if (tries_ == 0) {
            gave_up_ = false;
            host_.warning("the core could not take an event: result " + std::to_string(result) + "; it is offered again");
        }
        if (!later_(std::min(first_pause * (1 << tries_), last_pause))) return true;  // it could not be offered again
        ++tries_;
        return false;
    }

    const Host& host_;
    OnRoom on_room_;
    OnSettled on_settled_;
    Later later_;
    std::vector<flowd_event> events_;  ///< waiting
    std::vector<Kept> kept_;           ///< one per event: what it owns
    bool full_ = false;
    flowd_result reason_ = FLOWD_OK;
    int tries_ = 0;  ///< of the first one, after errors
    bool gave_up_ = false;
    Timer again_;
    std::array<std::uint64_t, 4> taken_{};
    std::uint64_t refused_ = 0, pauses_ = 0;
};

}  // namespace flowd
