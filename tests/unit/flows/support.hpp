// SPDX-License-Identifier: Apache-2.0
// What the tests of the flow table share: a clock they turn themselves, and plugins and backends in a few words.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/flows/bus.hpp"
#include "flowd/address.hpp"

namespace flowd::core::test {

inline constexpr std::uint32_t all_kinds = 0x3e;
inline constexpr std::uint32_t flow_kinds = 1u << FLOWD_EVENT_START | 1u << FLOWD_EVENT_ONGOING | 1u << FLOWD_EVENT_END;
inline constexpr std::int64_t epoch_ns = 1'700'000'000 * second_ns;  ///< Unix time when a test begins

inline flowd_key key_of(std::uint32_t number, std::uint8_t protocol = 6) {
    auto key = make_key({*Address::parse("2001:db8::1"), 443}, {*Address::parse("2001:db8::2"), 0}, protocol);
    key.destination_port = static_cast<std::uint16_t>(number);
    key.destination[11] = static_cast<std::uint8_t>(number >> 24);
    key.destination[12] = static_cast<std::uint8_t>(number >> 16);
    return key;
}

inline flowd_key turned(flowd_key key) {
    std::swap(key.source, key.destination);
    std::swap(key.source_port, key.destination_port);
    return key;
}

inline flowd_event event_of(std::uint32_t kind, const flowd_key& key, flowd_tag tag = {2, 16}) {
    flowd_event event{};
    event.size = sizeof event;
    event.kind = kind;
    event.key = key;
    event.tag = tag;
    return event;
}
inline flowd_event start(std::uint32_t number, flowd_tag tag = {2, 16}) {
    return event_of(FLOWD_EVENT_START, key_of(number), tag);
}
inline flowd_event ongoing(std::uint32_t number, flowd_tag tag = {2, 16}) {
    return event_of(FLOWD_EVENT_ONGOING, key_of(number), tag);
}
inline flowd_event end(std::uint32_t number) {
    return event_of(FLOWD_EVENT_END, key_of(number));
}

inline flowd_string text(std::string_view view) {
    return {view.data(), view.size()};
}
inline std::string text(flowd_string view) {
    return view.length == 0 ? std::string() : std::string(view.data, view.length);
}

/// What a backend was handed, with its own copies of what is only borrowed.
struct Received {
    flowd_event event;
    std::string application;
    std::string announcer;
    std::string rule;
    std::vector<std::pair<std::string, std::string>> attachments;
    std::vector<std::string> sample_sources;

    explicit Received(const flowd_event& from)
        : event(from), application(text(from.application)), announcer(text(from.announcer)), rule(text(from.rule)) {
        for (std::size_t i = 0; i < from.attachment_count; ++i) {
            const flowd_attachment& own = from.attachments[i];
            attachments.emplace_back(text(own.id),
                                     std::string(reinterpret_cast<const char*>(own.bytes.data), own.bytes.length));
        }
        for (std::size_t i = 0; i < from.sample_count; ++i) sample_sources.push_back(text(from.samples[i].source));
        event.application = {};
        event.announcer = {};
        event.rule = {};
        event.attachments = nullptr;
        event.samples = nullptr;
    }
    [[nodiscard]] bool is(std::uint32_t kind, std::uint32_t number) const {
        const auto key = key_of(number);
        return event.kind == kind && event.key.destination_port == key.destination_port &&
               event.key.destination[12] == key.destination[12];
    }
};

/// "S1 O1 E1": kinds with the ports that number the flows; lower case when repeated by a resync.
inline std::string story(const std::vector<Received>& events) {
    std::string out;
    for (const auto& received : events) {
        const bool resync = (received.event.flags & FLOWD_RESYNC) != 0;
        if (!out.empty()) out += ' ';
        out += (resync ? "?soecx" : "?SOECX")[received.event.kind];
        if (received.event.kind <= FLOWD_EVENT_END) out += std::to_string(received.event.key.destination_port);
    }
    return out;
}

/// A queue of so many events.
inline QueueLimits small(std::size_t events) {
    QueueLimits limits;
    limits.events = events;
    return limits;
}

class Backend {
  public:
    Backend(Bus& bus, const std::string& name, std::uint32_t accepts = all_kinds, QueueLimits limits = {}) : bus_(bus) {
        auto added = bus.add_backend({name, accepts, limits, [this] { ++wakes; }});
        EXPECT_TRUE(added.ok());
        queue = *added;
    }
    ~Backend() {
        if (queue) bus_.remove_backend(queue);
    }
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    std::vector<Received> take_once() {
        std::vector<Received> out;
        for (const auto& event : queue->take()) out.emplace_back(event);
        return out;
    }
    std::vector<Received> take_all() {
        std::vector<Received> out;
        for (auto events = queue->take(); !events.empty(); events = queue->take())
            for (const auto& event : events) out.emplace_back(event);
        return out;
    }
    void remove() {
        bus_.remove_backend(queue);
        queue.reset();
    }

    std::shared_ptr<BackendQueue> queue;
    int wakes = 0;

  private:
    Bus& bus_;
};

class FlowsTest : public ::testing::Test {
  protected:
    Clock clock() {
        return {[this] { return steady; }, [this] { return epoch_ns + steady + stepped; }};
    }
    void use(const FlowLimits& limits, std::unique_ptr<SocketProbe> probe = nullptr) {
        bus = std::make_unique<Bus>(limits, clock(), std::move(probe));
    }
    AnnouncerId announcer(const std::string& name, std::uint32_t precedence = FLOWD_PRECEDENCE_EXPLICIT,
                          std::uint64_t max_live = 0) {
        auto added = bus->add_announcer({name, precedence, max_live, [this, name] { room.push_back(name); }});
        EXPECT_TRUE(added.ok());
        return *added;
    }
    flowd_result emit(AnnouncerId id, const flowd_event& event) {
        std::size_t accepted = 0;
        const auto result = bus->emit(id, &event, 1, sizeof event, &accepted);
        EXPECT_EQ(accepted, result == FLOWD_OK ? 1u : 0u);
        return result;
    }
    void pass(std::int64_t seconds) { pass_ns(seconds * second_ns); }
    /// Time goes by the way the daemon's timer sees it: a tick whenever one is due.
    void pass_ns(std::int64_t duration) {
        const std::int64_t until = steady + duration;
        for (std::int64_t due = bus->tick(); due < until; due = bus->tick()) steady = due;
        steady = until;
        bus->tick();
    }
    [[nodiscard]] AnnouncerCounters announcer_counters(const std::string& name) const {
        for (const auto& counters : bus->counters().announcers)
            if (counters.name == name) return counters;
        ADD_FAILURE() << "no announcer " << name;
        return {};
    }
    [[nodiscard]] BackendCounters backend_counters(const std::string& name) const {
        for (const auto& counters : bus->counters().backends)
            if (counters.name == name) return counters;
        ADD_FAILURE() << "no backend " << name;
        return {};
    }
    [[nodiscard]] std::uint64_t effect(const std::string& name, Effect effect) const {
        return announcer_counters(name).effects[static_cast<std::size_t>(effect)];
    }
    [[nodiscard]] std::uint64_t refused(const std::string& name, Refusal reason) const {
        return announcer_counters(name).refused[static_cast<std::size_t>(reason)];
    }
    [[nodiscard]] std::uint64_t expired(Expiry reason) const {
        return bus->counters().expired[static_cast<std::size_t>(reason)];
    }

    std::int64_t steady = 1000 * second_ns;
    std::int64_t stepped = 0;       ///< by how much the system's clock has been set
    std::vector<std::string> room;  ///< who was told that there is room
    std::unique_ptr<Bus> bus = std::make_unique<Bus>(FlowLimits{}, clock());
};

}  // namespace flowd::core::test
