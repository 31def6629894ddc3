// SPDX-License-Identifier: Apache-2.0
// plugins/perfsonar/flow_keeper.hpp: converts the meter's flows to flow events, one start and one end per flow.
// For one thread at a time. Times are nanoseconds of CLOCK_MONOTONIC unless their name contains unix.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "flowd/event.hpp"
#include "flowd/host.hpp"
#include "flowd/outbox.hpp"
#include "lib/net/own_sockets.hpp"
#include "plugins/perfsonar/flow_slots.hpp"
#include "plugins/perfsonar/options.hpp"
#include "plugins/perfsonar/verdicts.hpp"

namespace flowd::perfsonar {

class FlowKeeper {
  public:
    struct Counts {
        std::uint64_t started = 0;
        std::uint64_t ended = 0;
        std::uint64_t own = 0;       ///< not announced: the daemon's own
        std::uint64_t excluded = 0;  ///< not announced: excluded by the configuration
        std::uint64_t refused = 0;   ///< the core did not take them: its limits
        std::uint64_t silent = 0;    ///< ended below minBytes or minPackets
        std::uint64_t scans = 0;     ///< of the whole table, because the kernel's event buffer was full
    };

    /// CLOCK_REALTIME, which may be set at any time, is for start times. Durations use CLOCK_MONOTONIC.
    using UnixClock = std::function<std::int64_t()>;
    /// `host` and `slots` must outlive this.
    FlowKeeper(Host& host, FlowSlots& slots, const PerfsonarOptions& options, std::int64_t now_ns,
               UnixClock unix_clock = unix_time_ns);

    /// The events of the kernel since the last call.
    void on_events(std::span<const meter_event> events, std::int64_t now_ns);
    /// Some events of the kernel were lost: examines all flows.
    void scan(std::int64_t now_ns);
    /// Once a second: ends idle flows, and refreshes others in the core's table.
    void tick(std::int64_t now_ns);
    /// There is room in the core's queues again.
    void on_room() { outbox_.drain(); }
    /// Offers waiting events. True: none wait any more.
    bool offer();
    /// Applies other options, including a new tag.
    void reconfigure(const PerfsonarOptions& options, std::int64_t now_ns);
    /// The interface no longer exists: its flows end soon, unless they appear on another one.
    void interface_gone(std::uint32_t index, std::int64_t now_ns);
    /// Ends all announced flows, as soon as the ends can be emitted.
    void end_all();
    /// Flows whose start the core had no room for. It ends the flows that it knows itself.
    [[nodiscard]] std::size_t unannounced() const;

    /// What it did with a flow.
    [[nodiscard]] Verdict verdict_on(const flowd_key& key) const;

    [[nodiscard]] const Counts& counts() const { return counts_; }
    [[nodiscard]] std::size_t metered() const { return records_.size(); }  ///< in the table
    [[nodiscard]] std::size_t announced() const { return announced_; }     ///< of those: started and not ended
    [[nodiscard]] std::size_t waiting() const { return waiting_.size() + outbox_.waiting(); }  ///< events

  private:
    /// What the core was told. `elsewhere`: the core ended the flow itself, or another instance did.
    enum class Told : std::uint8_t { nothing, start, end, elsewhere, never };
    struct Record {
        std::int64_t start_ns = 0;
        std::int64_t start_unix_ns = 0;  ///< the same time
        std::uint64_t flow_id = 0;       ///< of the core; 0: it has not taken the start
        std::int64_t ongoing_ns = 0;     ///< time of the last ongoing
        std::int64_t visit_second = 0;   ///< when it is examined next
        flowd_usage before{};            ///< counted by an earlier flow of this slot
        std::uint32_t waiting = 0;       ///< number of its events that wait
        Told told = Told::nothing;
        Verdict why = Verdict::refused;  ///< with Told::never
        bool is_hidden = false;
        bool lost_interface = false;
    };
    enum class What : std::uint8_t { start, again, ongoing, end };
    struct Waiting {
        std::uint32_t slot;
        What what;
    };

    Record& record_of(std::uint32_t slot, const meter_flow& flow, std::int64_t now_ns);
    void look(std::uint32_t slot, const meter_flow& flow, std::int64_t now_ns);
    void announce(std::uint32_t slot, Record& record, const meter_flow& flow);
    void visit(std::uint32_t slot, std::int64_t now_ns);
    void keep_alive(std::uint32_t slot, Record& record, const meter_flow& flow, std::int64_t now_ns);
    void finish(std::uint32_t slot, Record& record);
    void hide(std::uint32_t slot, Record& record, std::int64_t now_ns);
    /// Called first in each public call with a time, with the current `now_ns`. Reads both clocks together, because a flow
    /// with a late start time could be mistaken for the next one with its ports.
    void enter(std::int64_t now_ns);
    void begin(Record& record, std::int64_t start_ns) const;
    void schedule(std::uint32_t slot, Record& record, std::int64_t at_ns);
    [[nodiscard]] std::int64_t idle_limit(const Record& record, const meter_flow& flow) const;
    [[nodiscard]] bool is_own(const meter_flow& flow);

    void push(std::uint32_t slot, Record& record, What what);
    void pump();
    /// False: there is nothing to announce.
    [[nodiscard]] bool fill(const Waiting& waiting, flowd_event& event) const;
    void settle(const Outbox::Settled& settled);

    static constexpr std::size_t wheel_size = 64;  // seconds; the longest delay

    Host& host_;
    FlowSlots& slots_;
    PerfsonarOptions options_;
    net::OwnSockets own_{host_};
    bool own_is_fresh_ = false;  // determined in this call
    UnixClock unix_clock_;
    std::int64_t unix_offset_ns_ = 0;  // CLOCK_REALTIME minus CLOCK_MONOTONIC in this call
    std::unordered_map<std::uint32_t, Record> records_;
    std::array<std::vector<std::uint32_t>, wheel_size> wheel_;
    std::int64_t second_ = 0;      // the last second that the wheel has processed
    std::deque<Waiting> waiting_;  ///< events that are created when there is room for them
    Outbox outbox_{host_,
                   [this](bool has_room) {
                       if (has_room) pump();
                   },
                   [this](const Outbox::Settled& settled) { settle(settled); }};
    bool is_stopping_ = false;
    std::size_t announced_ = 0;
    Counts counts_;
};

/// The key of a flow as it is announced: its source is the end on this host's side of the interface.
[[nodiscard]] flowd_key key_of(const meter_flow& flow);

}  // namespace flowd::perfsonar
