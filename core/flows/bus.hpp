// SPDX-License-Identifier: Apache-2.0
// core/flows/bus.hpp: the flow table and the delivery of flow events from plugins to backends.
//
// The flow table is authoritative: the events that a backend receives are derived from it, one start and one end per flow.
// docs/flows.md has the rules. Every member function may be called from any thread unless it says otherwise; callbacks are
// called without a lock of the table or of a queue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/clock.hpp"
#include "core/flows/backend_queue.hpp"
#include "core/flows/counters.hpp"
#include "core/flows/samples.hpp"
#include "core/flows/socket_probe.hpp"
#include "flowd/abi/event.h"
#include "flowd/abi/ext/events.h"
#include "flowd/abi/ext/flows.h"
#include "flowd/abi/module.h"
#include "flowd/result.hpp"

namespace flowd::core {

inline constexpr std::int64_t second_ns = 1'000'000'000;

/// The `flows` group of the configuration. Durations in nanoseconds; a limit of 0 is no limit.
struct FlowLimits {
    std::uint64_t max_live = 1'000'000;
    std::uint64_t max_per_instance = 0;
    std::uint64_t max_per_sender = 0;  ///< flows.maxPerSource: per flowd_event.sender other than 0
    std::int64_t idle_timeout_ns = 60 * second_ns;
    std::int64_t max_age_ns = 24 * 3600 * second_ns;
    std::int64_t tombstone_ns = 5 * second_ns;
    std::int64_t probe_interval_ns = 10 * second_ns;  ///< shortest interval between dumps of sock_diag; 0: no dumps
    std::uint64_t history = 10'000;                   ///< ended flows that are kept
};

struct AnnouncerOptions {
    std::string name;                                      ///< instance key, "fireflyp/regional"
    std::uint32_t precedence = FLOWD_PRECEDENCE_EXPLICIT;  ///< FLOWD_PRECEDENCE_*
    std::uint64_t max_live = 0;                            ///< overrides FlowLimits::max_per_instance when not 0
    /// There is room again after emit returned FULL. Called on the thread that made the room: post it, do not emit from it.
    /// Not called after remove_announcer or replace_announcer has returned.
    std::function<void()> on_room = nullptr;
    /// The oldest `count` of its marks were passed. Called on the thread that passed the last one: post it.
    /// Not called after remove_announcer or replace_announcer has returned.
    std::function<void(std::size_t count)> on_marks = nullptr;
};

/// Identifies a plugin instance. A value; remains valid for the successor of replace_announcer.
struct AnnouncerId {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;  ///< 0: none
    friend bool operator==(const AnnouncerId&, const AnnouncerId&) = default;
};

/// An instance that announces a flow.
struct FlowAnnouncer {
    std::string name;
    std::uint32_t precedence = 0;
    std::uint32_t announcements = 0;  ///< its senders that announce the flow; 1 if they are not distinguished
    bool gave_tag = false;
};

struct CatchAllTag {
    flowd_tag tag{};
    std::string announcer;
    std::int64_t since_ns = 0;  ///< Unix time
};

struct BackendOptions {
    std::string name;           ///< instance key, "firefly/regional"
    std::uint32_t accepts = 0;  ///< bits 1 << FLOWD_EVENT_*
    QueueLimits limits = {};
    /// There are events to take: write an eventfd, no more. Called on the thread that emitted, at most once until take()
    /// has returned nothing. Not called after remove_backend or replace_backend has returned.
    std::function<void()> wake = nullptr;
};

class Delivery;
class FlowHistory;
class Minutes;

class Bus {
  public:
    static constexpr std::size_t max_announcers = 64;
    static constexpr std::size_t max_backends = 32;
    static constexpr std::size_t max_application = 256;              ///< bytes of flowd_event.application
    static constexpr std::size_t max_rule = 64;                      ///< bytes of flowd_event.rule
    static constexpr std::size_t max_attachments = 64;               ///< per event
    static constexpr std::size_t max_attachment_bytes = 256 * 1024;  ///< per event, ids included

    /// `probe` null: no flow expires because of sock_diag.
    explicit Bus(const FlowLimits& limits = {}, const Clock& clock = Clock::real(),
                 std::unique_ptr<SocketProbe> probe = nullptr);
    ~Bus();  ///< after all plugins have stopped emitting; queues that are still held become empty
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;

    /// Sets the `flows` group after a reload; applies to later events.
    void set_limits(const FlowLimits& limits);
    [[nodiscard]] FlowLimits limits() const;
    /// Sets the `queues` group after a reload, for all backends. Events that are already queued remain.
    void set_queue_limits(const QueueLimits& limits);

    /// FLOWD_LIMIT: no slot is free. FLOWD_BUSY: the name is in use.
    Result<AnnouncerId> add_announcer(AnnouncerOptions options);
    /// Replaces an instance in a reload: its successor keeps the id, the announced flows and the catch-all.
    Result<void> replace_announcer(AnnouncerId id, AnnouncerOptions options);
    /// Ends flows that no other instance announces (FLOWD_END_WITHDRAWN), withdraws its catch-all; emit returns STOPPED.
    void remove_announcer(AnnouncerId id);

    /// flowd_host.emit. Copies what it needs before it returns.
    flowd_result emit(AnnouncerId id, const flowd_event* events, std::size_t count, std::size_t stride,
                      std::size_t* accepted, std::uint64_t* flow_ids = nullptr);

    /// on_marks follows once every backend has taken, or refused permanently, all that this plugin emitted before; backends
    /// that are removed meanwhile do not count. Dropped when the plugin is removed or replaced.
    flowd_result mark(AnnouncerId id);

    /// The new backend receives all live flows and the catch-all in force (FLOWD_RESYNC). FLOWD_LIMIT: no slot is free.
    Result<std::shared_ptr<BackendQueue>> add_backend(BackendOptions options);
    /// Replaces a backend in a reload: its successor receives all live flows, and the ends that its predecessor missed. The
    /// old queue can be taken until it is empty: each event reaches one of the two.
    Result<std::shared_ptr<BackendQueue>> replace_backend(const std::shared_ptr<BackendQueue>& old, BackendOptions options);
    /// Drops events that were not taken. To deliver them first: stop the plugins, take until the queue is empty, remove.
    /// Of a replaced backend: marks no longer wait for it.
    void remove_backend(const std::shared_ptr<BackendQueue>& queue);

    /// Live flows in batches, in no particular order, each once. Borrowed for the call. `visitor` returns false to stop.
    using FlowVisitor = std::function<bool(std::span<const flowd_flow> flows)>;
    void visit(const FlowVisitor& visitor, std::size_t batch = 256) const;
    /// flowd_ext_flows.page. `visitor` returns false to end the call.
    flowd_result page(const flowd_flow_filter* filter, std::uint64_t& cursor, std::size_t limit,
                      const std::function<bool(const flowd_flow&)>& visitor) const;
    /// The live flow of a tuple in either direction; false if there is none.
    bool find(const flowd_key& key, const std::function<void(const flowd_flow&)>& visitor) const;
    /// The same, with the instances that announce it.
    bool examine(const flowd_key& key,
                 const std::function<void(const flowd_flow&, std::span<const FlowAnnouncer>)>& visitor) const;
    [[nodiscard]] std::uint64_t count() const;
    /// The catch-all in force.
    [[nodiscard]] std::optional<CatchAllTag> catch_all() const;

    /// Ended flows as in page(), the latest first (flowd_ext_history.page).
    flowd_result page_ended(const flowd_flow_filter* filter, std::uint64_t& cursor, std::size_t limit,
                            const std::function<bool(const flowd_flow&)>& visitor) const;
    [[nodiscard]] std::uint64_t count_ended() const;
    /// The sums per minute.
    [[nodiscard]] Minutes& minutes() const;
    /// Adds what has been counted since the last tick to the sums.
    void collect_sums();
    /// flowd_ext_events.read. `visitor` returns false to end the call.
    flowd_result read_events(std::uint64_t& position, std::size_t limit, std::uint64_t& lost,
                             const std::function<bool(const flowd_observed&)>& visitor) const;
    [[nodiscard]] std::uint64_t next_event() const;
    /// A refusal by an instance becomes an event.
    void observe_refusal(std::string_view instance, std::string_view reason, std::string_view sender,
                         std::string_view first);
    /// The packets that backends mark at present, FLOWD_MARKS_*.
    void set_marks(std::uint32_t marks);

    /// Applies the samples of one period: keeps usage, expires flows that are gone, and sends each backend that accepts
    /// ongoing one event per flow with all its samples.
    void apply_samples(const SamplePeriod& period);

    /// Expiry, tombstones, stalled backends, sock_diag. Returns the steady time of the next call; earlier and later calls
    /// are harmless. One thread at a time; with a million flows or sockets it takes seconds.
    std::int64_t tick();
    /// A running tick returns soon, and later ones do nothing.
    void end_upkeep();

    [[nodiscard]] BusCounters counters() const;

  private:
    struct Parts;
    [[nodiscard]] std::shared_ptr<Delivery> delivery() const;
    std::shared_ptr<Parts> parts_;
};

}  // namespace flowd::core
