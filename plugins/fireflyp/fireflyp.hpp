// SPDX-License-Identifier: Apache-2.0
// The fireflyp plugin: receives fireflies over UDP and announces their flows.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <vector>

#include "flowd/module.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/net/receive_batch.hpp"
#include "plugins/fireflyp/event_batch.hpp"
#include "plugins/fireflyp/gate.hpp"
#include "plugins/fireflyp/inlet.hpp"
#include "plugins/fireflyp/options.hpp"
#include "plugins/fireflyp/relay.hpp"

namespace flowd::fireflyp {

/// Why a datagram was not even looked at. Appended to, never reordered: metric labels.
enum class TurnedAway : std::uint8_t {
    not_allowed,  ///< from none of the networks in `allow`
    rate,         ///< beyond `ratePerSource`
};
inline constexpr std::array<std::string_view, 2> turned_away_names{"not_allowed", "rate"};

/// Back-pressure: when the bus is full, reading stops at the event that did not fit, and goes on with it when there is
/// room. Meanwhile the kernel's buffers take what comes; what they cannot take is their drop, and is counted.
class Fireflyp final : public Plugin {
  public:
    using Options = FireflypOptions;
    static constexpr Info info{.name = "fireflyp",
                               .summary = "Receives fireflies over UDP and announces their flows.",
                               .aliases = {"firefly"},
                               .precedence = FLOWD_PRECEDENCE_EXPLICIT};

    Fireflyp(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { FireflypOptions::validate(options, problems); }
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> stop(Deadline deadline) override;
    void on_room() override;
    void status(json::Writer& object) const override;

  private:
    static constexpr std::size_t batch = 64;
    /// Batches per wake-up, so that timers and commands get their turn under load.
    static constexpr int batches_per_turn = 8;

    void read(Inlet& inlet);
    void take(const net::Datagram& datagram, RateLimit::Clock::time_point now);
    /// False when reading has to stop.
    bool announce();
    void pause();
    void publish();

    Options options_;
    std::list<Inlet> inlets_;
    net::ReceiveBatch receive_;
    firefly::Parser parser_;
    Allowed allowed_;
    RateLimit rate_;
    Relay relay_;

    EventBatch batch_;
    std::span<const flowd_event> waiting_;  ///< of batch_, not yet taken by the core

    std::array<std::uint64_t, turned_away_names.size()> turned_away_{};
    std::array<std::uint64_t, firefly::refusal_names.size()> refused_{};
    std::array<std::uint64_t, 4> announced_{};  ///< by kind of event
    std::uint64_t not_taken_ = 0;               ///< the core found the event malformed or over a cap
    std::uint64_t pauses_ = 0;
    std::string last_error_;
    bool paused_ = false;

    Counter not_taken_metric_, pauses_metric_;
    std::vector<Counter> turned_away_metrics_, refused_metrics_, announced_metrics_;
    Timer publisher_;
};

}  // namespace flowd::fireflyp
