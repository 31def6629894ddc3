// SPDX-License-Identifier: Apache-2.0
// core/flows/bus.hpp: the flow table and the hand-over of flow events from announcers (plugins) to backends.
//
// The flow table is the truth; what a backend is told is derived from it, one start and one end per flow. docs/flows.md
// explains the rules. Every member function may be called from any thread unless it says otherwise; callbacks are called
// with no lock of the table or of a queue held.
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
#include "flowd/abi/ext/flows.h"
#include "flowd/abi/module.h"
#include "flowd/result.hpp"

namespace flowd::core {

inline constexpr std::int64_t second_ns = 1'000'000'000;

/// The `flows` group of the configuration. Durations in nanoseconds; a cap of 0 means none of its own.
struct FlowLimits {
    std::uint64_t max_live = 1'000'000;
    std::uint64_t max_per_instance = 0;
    std::uint64_t max_per_sender = 0;  ///< flows.maxPerSource: flowd_event.sender, when it is not 0
    std::int64_t idle_timeout_ns = 60 * second_ns;
    std::int64_t max_age_ns = 24 * 3600 * second_ns;
    std::int64_t tombstone_ns = 5 * second_ns;
    std::int64_t probe_interval_ns = 10 * second_ns;  ///< how often sock_diag is asked at most; 0: never
};

struct AnnouncerOptions {
    std::string name;                                      ///< instance key, "fireflyp/regional"
    std::uint32_t precedence = FLOWD_PRECEDENCE_EXPLICIT;  ///< FLOWD_PRECEDENCE_*
    std::uint64_t max_live = 0;                            ///< overrides FlowLimits::max_per_instance when not 0
    /// After emit answered FULL: there is room again. On the thread that made the room: post it, do not emit from it.
    /// Never called again once remove_announcer or replace_announcer has returned.
    std::function<void()> on_room = nullptr;
    /// The oldest `count` of its marks have been passed. On the thread of whoever passed the last one: post it.
    /// Never called again once remove_announcer or replace_announcer has returned.
    std::function<void(std::size_t count)> on_marks = nullptr;
};

/// A slot of the announcers' set. Value; stays valid for replace_announcer's successor.
struct AnnouncerId {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;  ///< 0: nobody
    friend bool operator==(const AnnouncerId&, const AnnouncerId&) = default;
};

struct BackendOptions {
    std::string name;           ///< instance key, "firefly/regional"
    std::uint32_t accepts = 0;  ///< bits 1 << FLOWD_EVENT_*
    QueueLimits limits = {};
    /// Something can be taken: write an eventfd, no more. Called by whoever emitted, at most once until take() has
    /// answered "nothing". Never called again once remove_backend or replace_backend has returned.
    std::function<void()> wake = nullptr;
};

class Delivery;

class Bus {
  public:
    static constexpr std::size_t max_announcers = 64;
    static constexpr std::size_t max_backends = 32;
    static constexpr std::size_t max_application = 256;              ///< bytes of flowd_event.application
    static constexpr std::size_t max_rule = 64;                      ///< bytes of flowd_event.rule
    static constexpr std::size_t max_attachments = 64;               ///< per event
    static constexpr std::size_t max_attachment_bytes = 256 * 1024;  ///< per event, ids included

    /// `probe` null: no flow expires on account of sock_diag.
    explicit Bus(const FlowLimits& limits = {}, const Clock& clock = Clock::real(),
                 std::unique_ptr<SocketProbe> probe = nullptr);
    ~Bus();  ///< after every announcer has stopped emitting; queues that are still held answer "nothing"
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;

    /// A reload's new `flows` group; holds for what happens from now on.
    void set_limits(const FlowLimits& limits);
    /// The same of a new `queues` group, for every backend. What waits already stays, be it more than that.
    void set_queue_limits(const QueueLimits& limits);

    /// FLOWD_LIMIT when all slots are taken, FLOWD_BUSY when the name is.
    Result<AnnouncerId> add_announcer(AnnouncerOptions options);
    /// A reload's successor: keeps the id, the announced flows and the catch-all.
    Result<void> replace_announcer(AnnouncerId id, AnnouncerOptions options);
    /// Ends the flows that nobody else announces (FLOWD_END_WITHDRAWN) and withdraws its catch-all. emit answers STOPPED.
    void remove_announcer(AnnouncerId id);

    /// flowd_host.emit. Copies what it needs before it returns.
    flowd_result emit(AnnouncerId id, const flowd_event* events, std::size_t count, std::size_t stride,
                      std::size_t* accepted, std::uint64_t* flow_ids = nullptr);

    /// on_marks follows when every backend has taken, or refused for good, all that this announcer emitted before; those
    /// that are removed meanwhile no longer count. Dropped when the announcer is removed or replaced.
    flowd_result mark(AnnouncerId id);

    /// The new backend is given all live flows and the present catch-all (FLOWD_RESYNC). FLOWD_LIMIT: no slot left.
    Result<std::shared_ptr<BackendQueue>> add_backend(BackendOptions options);
    /// A reload's successor: it receives all live flows again, and the ends that its predecessor missed. The old queue can
    /// still be taken from until it is empty: each event reaches one of the two.
    Result<std::shared_ptr<BackendQueue>> replace_backend(const std::shared_ptr<BackendQueue>& old, BackendOptions options);
    /// What it has not taken is dropped. To let it finish: stop the announcers, take until nothing is left, remove.
    /// One that was replaced: marks no longer wait for it.
    void remove_backend(const std::shared_ptr<BackendQueue>& queue);

    /// Live flows in batches, in no order; none is told twice. Borrowed for the call. `visitor` answers false to stop.
    using FlowVisitor = std::function<bool(std::span<const flowd_flow> flows)>;
    void visit(const FlowVisitor& visitor, std::size_t batch = 256) const;
    /// flowd_ext_flows.page. `visitor` answers false to end the call.
    flowd_result page(const flowd_flow_filter* filter, std::uint64_t& cursor, std::size_t limit,
                      const std::function<bool(const flowd_flow&)>& visitor) const;
    /// The live flow of a tuple in either direction; false when there is none.
    bool find(const flowd_key& key, const std::function<void(const flowd_flow&)>& visitor) const;
    [[nodiscard]] std::uint64_t count() const;

    /// What enrichers found in one period: usage is kept, flows that are gone expire, and backends that accept ongoing
    /// get one event per flow with all its samples.
    void apply_samples(const SamplePeriod& period);

    /// Expiry, tombstones, stalled backends, sock_diag. Call it when the steady time it answered has come; earlier and
    /// later do no harm. One thread at a time; it takes seconds where there are a million flows or sockets.
    std::int64_t tick();
    /// A tick that is under way comes back soon, and later ones do nothing.
    void end_upkeep();

    [[nodiscard]] BusCounters counters() const;

  private:
    struct Parts;
    [[nodiscard]] std::shared_ptr<Delivery> delivery() const;
    std::shared_ptr<Parts> parts_;
};

}  // namespace flowd::core
