// SPDX-License-Identifier: Apache-2.0
// The iperf3 plugin: TCP connections by port range, with tags from a list; for tests and demonstrations.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "flowd/module.hpp"
#include "flowd/outbox.hpp"
#include "flowd/publisher.hpp"
#include "lib/diag/streak.hpp"
#include "lib/watch/announced.hpp"
#include "lib/watch/hosted_watch.hpp"
#include "plugins/iperf3/options.hpp"

namespace flowd::iperf3 {

/// The BPF program chooses a connection's tag before its first packet, so that packets and fireflies have the same tag.
class Iperf3 final : public Plugin {
  public:
    using Options = Iperf3Options;
    static constexpr Info info{.name = "iperf3",
                               .summary = "Announces TCP connections by port range, with tags from a list.",
                               .precedence = FLOWD_PRECEDENCE_RULE};

    Iperf3(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { Iperf3Options::validate(options, problems); }
    static void plan(const Options& options, const Connections& connections, Plan& plan, const Offline& core);
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> stop(Deadline deadline) override;
    void on_room() override { outbox_.drain(); }
    void status(json::Writer& object) const override;

  private:
    void take(const watch::SocketEvent& event);
    void open(const watch::SocketEvent& event);
    void end(const watch::Announced& connection, const std::optional<flowd_usage>& usage, std::int64_t now);
    /// After events were lost: ends connections that the kernel no longer has.
    void reconcile();
    void make_up();

    Options options_;
    Outbox outbox_{host(), [this](bool has_room) { watch_.pause(!has_room); }};
    std::unordered_map<std::uint64_t, watch::Announced> live_;  ///< by cookie
    std::uint64_t started_ = 0, ended_ = 0, missing_ = 0, losses_ = 0;
    Counters counters_;
    bool must_reconcile_ = false;  ///< events were lost, and no reconciliation has succeeded since
    diag::Streak streak_{host(), "the connections could not be listed"};
    watch::HostedWatch watch_;
    Publisher publisher_{host(), [this] { counters_.publish(); }, [this] { make_up(); }};
};

}  // namespace flowd::iperf3
