// SPDX-License-Identifier: Apache-2.0
// plugins/perfsonar/metering.hpp: the meter: its BPF programs, the interfaces to which they are attached, and the events of
// its flows. For the instance's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flowd/host.hpp"
#include "flowd/json.hpp"
#include "flowd/module.hpp"
#include "flowd/publisher.hpp"
#include "lib/bpf/attachments.hpp"
#include "lib/bpf/interfaces.hpp"
#include "lib/bpf/ring.hpp"
#include "lib/bpf/rtnetlink.hpp"
#include "lib/bpf/throttle.hpp"
#include "plugins/perfsonar/flow_keeper.hpp"
#include "plugins/perfsonar/flow_slots.hpp"
#include "plugins/perfsonar/meter_program.hpp"
#include "plugins/perfsonar/options.hpp"

namespace flowd::perfsonar {

class Metering {
  public:
    /// Loads the program and attaches it. `host` must outlive this.
    [[nodiscard]] static Result<std::unique_ptr<Metering>> make(Host& host, const PerfsonarOptions& options);
    Metering(const Metering&) = delete;
    Metering& operator=(const Metering&) = delete;
    ~Metering() = default;

    /// From here on flows are announced.
    Result<void> start();
    /// Flows continue; a larger table needs a restart.
    Result<void> reconfigure(const PerfsonarOptions& options);
    void on_room() { keeper_.on_room(); }
    /// Detaches from the interfaces and ends the announced flows.
    void stop(const Deadline& deadline);

    [[nodiscard]] Verdict verdict_on(const flowd_key& key) const { return keeper_.verdict_on(key); }
    void status(json::Writer& object) const;
    [[nodiscard]] std::string summary() const;
    [[nodiscard]] std::vector<Finding> findings() const;

  private:
    Metering(Host& host, const PerfsonarOptions& options, MeterProgram program, nl::Subscription changes);
    [[nodiscard]] Result<void> attach_first();
    Result<void> follow();
    void attach_again();
    void attach(const std::vector<bpf::Link>& chosen);
    /// Adds the interfaces on which another instance marks, if no interfaces are configured.
    void add_marked(bpf::Interfaces::Found& found, const std::vector<bpf::Link>& all) const;
    [[nodiscard]] std::string why(const bpf::Link& link) const;
    void attach_marked();
    void tell_interfaces();
    void apply();
    [[nodiscard]] Result<std::vector<bpf::Link>> find();
    void drain();
    void tick();
    void publish();
    [[nodiscard]] std::vector<Counters::Row> rows();

    Host& host_;
    PerfsonarOptions options_;
    bpf::Interfaces interfaces_;
    nl::Subscription changes_;
    MeterProgram program_;
    KernelSlots slots_;
    FlowKeeper keeper_;
    std::unique_ptr<bpf::Attachments> attachments_;
    std::vector<std::string> missing_;
    std::vector<bpf::Link> chosen_;  // also those below others, which are not metered
    std::map<int, std::string> why_;
    std::uint32_t lost_events_ = 0;  // lost events after which the table was scanned
    bool said_full_ = false;
    std::uint64_t no_room_ = 0;                                          // packets of flows that did not fit into the table
    std::optional<std::chrono::steady_clock::time_point> last_no_room_;  // when the last of them was counted
    std::optional<bpf::Ring> ring_;
    std::vector<meter_event> events_;

    OutcomeCounts outcomes_{};  // as read last, once a second
    Counters counters_;

    Watch ring_watch_;
    Watch change_watch_;
    bpf::Throttle attach_soon_{host_, [this] { attach_again(); }};
    Subscription marked_;
    Timer drain_timer_;
    Publisher publisher_{host_, [this] { publish(); }, [this] { tick(); }};
};

}  // namespace flowd::perfsonar
