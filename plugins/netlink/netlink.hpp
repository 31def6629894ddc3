// SPDX-License-Identifier: Apache-2.0
// The netlink plugin: the host's TCP connections, found by sock_diag and tagged by rules.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flowd/module.hpp"
#include "flowd/outbox.hpp"
#include "flowd/publisher.hpp"
#include "lib/diag/destroy_listener.hpp"
#include "lib/diag/socket.hpp"
#include "lib/diag/streak.hpp"
#include "lib/net/own_sockets.hpp"
#include "lib/watch/hosted_watch.hpp"
#include "plugins/netlink/candidates.hpp"
#include "plugins/netlink/options.hpp"
#include "plugins/netlink/rules.hpp"
#include "plugins/netlink/surroundings.hpp"
#include "plugins/netlink/tracker.hpp"

namespace flowd::netlink {

/// A dump of all sockets per period finds new connections. The kernel's notifications report each close at once, with the
/// last counts, including connections that no dump has seen. If notifications were lost, a dump follows at once. If the
/// kernel accepts a BPF program of ours (early), it reports opens at once, too, and tags sockets before they send.
///
/// Back-pressure: while the bus is full, notifications wait in the kernel's buffer and no dump is made.
class Netlink final : public Plugin {
  public:
    using Options = PluginOptions;
    static constexpr Info info{.name = "netlink",
                               .summary = "Announces this host's TCP connections, found by sock_diag and tagged by rules.",
                               .precedence = FLOWD_PRECEDENCE_RULE};

    Netlink(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { PluginOptions::validate(options, problems); }
    std::vector<Finding> findings() const;
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);
    void explain(const FlowBatch& flows, Explanations& explanations) const;
    static void plan(const Options& options, const Connections& connections, Plan& plan, const Offline& core);
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> stop(Deadline deadline) override;
    void on_room() override { outbox_.drain(); }
    void status(json::Writer& object) const override;

  private:
    enum Count : std::size_t {
        started,     ///< announced
        early,       ///< of those, reported by the kernel when they opened
        unseen,      ///< of those, found only when they closed
        ended,       ///< with the kernel's last counts
        missing,     ///< ended because dumps no longer showed them
        reused,      ///< ended because another connection uses their ports
        undecided,   ///< closed before a fact that a rule needs was known
        over_limit,  ///< not announced: maxConnections
        looks,
        failed_looks,
        losses,  ///< times that the kernel lost reports of opens or closes
        counts
    };
    static constexpr std::array<const char*, counts> count_names{"started", "early",       "unseen",    "ended",
                                                                 "missing", "reused",      "undecided", "overLimit",
                                                                 "looks",   "failedLooks", "losses"};

    void prepare_early();
    Result<void> look();
    void look_soon();
    Result<void> dump_all();
    void seen(const diag::Connection& connection);
    void sweep();
    bool hear();
    bool hear_all();
    void told(const watch::SocketEvent& event);
    void opened(const watch::SocketEvent& event);
    void closed(const diag::Connection& connection);
    void closed_unseen(const diag::Connection& connection);

    [[nodiscard]] Direction direction_of(const diag::Connection& connection) const {
        return candidates_.direction_of(connection.protocol, connection.local);
    }
    /// Whether it can be a flow: not internal, not our own, not the remote end of a connection inside this host.
    [[nodiscard]] bool in_question(const diag::Connection& connection, Direction direction) const;
    void explain(std::size_t index, const flowd_flow& flow, Explanations& explanations) const;
    bool begin(std::uint64_t cookie, Tracked& connection);
    void end(const Tracked& connection, const std::optional<flowd_usage>& usage, std::int64_t now);
    /// Stops reading while the bus is full.
    void read(bool has_room);
    [[nodiscard]] std::string summary() const;
    /// Counts a connection that is not announced, and reports it as refused.
    void refuse(Count reason, const flowd_key& connection);

    Options options_;
    Rules rules_;
    std::optional<diag::Socket> socket_;
    std::optional<diag::DestroyListener> listener_;
    Tracker tracker_;
    Outbox outbox_{host(), [this](bool has_room) { read(has_room); }};

    // As of the last dump.
    Candidates candidates_;
    Surroundings surroundings_;
    net::OwnSockets own_{host()};
    std::uint64_t pass_ = 0;
    std::int64_t looked_ns_ = 0;  // CLOCK_MONOTONIC, as all times here
    bool lost_ = false;           ///< notifications were lost since then

    std::array<std::uint64_t, counts> counts_{};
    std::uint64_t sockets_ = 0;
    std::chrono::microseconds last_look_{};
    std::string last_error_;
    diag::Streak look_failures_{host(), "the connections could not be listed"};
    diag::Streak hear_failures_{host(), "the kernel's notifications of closed connections could not be read"};
    Counters counters_;
    std::string early_state_ = "off";
    Error early_error_;
    watch::HostedWatch watch_;
    Watch readable_;  // declared after the listener: destroyed before its descriptor is closed
    Publisher publisher_{host(), counters_};
    Timer period_, soon_;
};

}  // namespace flowd::netlink
