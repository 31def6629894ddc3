// SPDX-License-Identifier: Apache-2.0
// plugins/perfsonar/flow_keeper.hpp: turns the meter's flows into flow events, each flow's start and end once.
// One thread at a time. Times are nanoseconds of CLOCK_MONOTONIC unless their name says unix.
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

namespace flowd::perfsonar {

class FlowKeeper {
  public:
    struct Counts {
        std::uint64_t started = 0;
        std::uint64_t ended = 0;
        std::uint64_t own = 0;       ///< not announced: the daemon's
        std::uint64_t excluded = 0;  ///< not announced: by the option
        std::uint64_t refused = 0;   ///< the core would not take them: its limits
        std::uint64_t silent = 0;    ///< went away without having been worth an announcement
        std::uint64_t scans = 0;     ///< of the whole table, because the kernel's messages did not fit
    };

    /// CLOCK_REALTIME, which may be set at any time: it dates the start of a flow. Durations are those of CLOCK_MONOTONIC.
    using UnixClock = std::function<std::int64_t()>;
    /// `host` and `slots` must outlive this.
    FlowKeeper(Host& host, FlowSlots& slots, const PerfsonarOptions& options, std::int64_t now_ns,
               UnixClock unix_clock = unix_time_ns);

    /// What the kernel has said since the last time.
    void on_events(std::span<const meter_event> events, std::int64_t now_ns);
    /// Some of what the kernel said was lost: looks at everything.
    void scan(std::int64_t now_ns);
    /// Once a second: idle flows end, others are kept alive in the core's table.
    void tick(std::int64_t now_ns);
    /// There is room in the core's queues again.
    void on_room() { outbox_.drain(); }
    /// Offers what waits. True: nothing does any more.
    bool offer();
    /// Other options from now on, a new tag included.
    void reconfigure(const PerfsonarOptions& options, std::int64_t now_ns);
    /// No packet passes at this interface any more: its flows end soon, unless they show up at another.
    void interface_gone(std::uint32_t index, std::int64_t now_ns);
    /// Ends every flow that has been announced, as soon as they are offered.
    void end_all();
    /// Flows whose start the core had no room for. Flows that it knows it ends itself.
    [[nodiscard]] std::size_t unannounced() const;

    [[nodiscard]] const Counts& counts() const { return counts_; }
    [[nodiscard]] std::size_t metered() const { return records_.size(); }  ///< in the table
    [[nodiscard]] std::size_t announced() const { return announced_; }     ///< of them: started and not ended
    [[nodiscard]] std::size_t waiting() const { return waiting_.size() + outbox_.waiting(); }  ///< events

  private:
    /// `elsewhere`: the core ended it by itself, or another announcer did.
    enum class Told : std::uint8_t { nothing, start, end, elsewhere, never };
    struct Record {
        std::int64_t start_ns = 0;
        std::int64_t start_unix_ns = 0;  ///< the same moment
        std::uint64_t flow_id = 0;       ///< the core's; 0: it has not taken the start
        std::int64_t ongoing_ns = 0;     ///< when it was last announced as ongoing
        std::int64_t visit_second = 0;   ///< when it is looked at next
        flowd_usage before{};            ///< what belongs to an earlier flow of this slot
        std::uint32_t waiting = 0;       ///< of its events
        Told told = Told::nothing;
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
    /// First in each public call with a time. `now_ns` is of this moment: both clocks are read once, together, since a flow
    /// dated late would look like the next one with its ports.
    void enter(std::int64_t now_ns);
    void begin(Record& record, std::int64_t start_ns) const;
    void schedule(std::uint32_t slot, Record& record, std::int64_t at_ns);
    [[nodiscard]] std::int64_t idle_limit(const Record& record, const meter_flow& flow) const;
    [[nodiscard]] bool is_own(const meter_flow& flow);

    void push(std::uint32_t slot, Record& record, What what);
    void pump();
    /// False: there is nothing to tell.
    [[nodiscard]] bool fill(const Waiting& waiting, flowd_event& event) const;
    void settle(const Outbox::Settled& settled);

    static constexpr std::size_t wheel_size = 64;  // seconds; nothing is scheduled further ahead

    Host& host_;
    FlowSlots& slots_;
    PerfsonarOptions options_;
    net::OwnSockets own_{host_};
    bool own_is_fresh_ = false;  // looked at in this call
    UnixClock unix_clock_;
    std::int64_t unix_offset_ns_ = 0;  // CLOCK_REALTIME less CLOCK_MONOTONIC in this call
    std::unordered_map<std::uint32_t, Record> records_;
    std::array<std::vector<std::uint32_t>, wheel_size> wheel_;
    std::int64_t second_ = 0;      // the last one the wheel has turned to
    std::deque<Waiting> waiting_;  ///< events that are made when there is room for them
    Outbox outbox_{host_,
                   [this](bool has_room) {
                       if (has_room) pump();
                   },
                   [this](const Outbox::Settled& settled) { settle(settled); }};
    bool is_stopping_ = false;
    std::size_t announced_ = 0;
    Counts counts_;
};

/// The key of a flow as it is announced: its source is the end on this side of the interface.
[[nodiscard]] flowd_key key_of(const meter_flow& flow);

}  // namespace flowd::perfsonar
