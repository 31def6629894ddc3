// SPDX-License-Identifier: Apache-2.0
// The fireflyp plugin: receives fireflies over UDP and announces their flows.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "flowd/module.hpp"
#include "flowd/outbox.hpp"
#include "flowd/publisher.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/net/receive_batch.hpp"
#include "plugins/fireflyp/event_batch.hpp"
#include "plugins/fireflyp/gate.hpp"
#include "plugins/fireflyp/inlet.hpp"
#include "plugins/fireflyp/options.hpp"
#include "plugins/fireflyp/relay.hpp"
#include "plugins/fireflyp/streams.hpp"
#include "plugins/fireflyp/verify.hpp"

namespace flowd::fireflyp {

/// Why a datagram was dropped without regard to its content. Appended to, never reordered: metric labels.
enum class TurnedAway : std::uint8_t {
    not_allowed,  ///< from none of the networks in `allow`
    rate,         ///< beyond `ratePerSource`
    own,          ///< this daemon is its origin: a loop
    repeated,     ///< its number was seen recently
};
inline constexpr std::array<std::string_view, 4> turned_away_names{"not_allowed", "rate", "own", "repeated"};

/// Back-pressure: if the bus is full, reading stops at the event that did not fit, and continues with it once there is
/// room. Meanwhile the kernel buffers datagrams; those that do not fit its buffers are dropped and counted.
class Fireflyp final : public Plugin {
  public:
    using Options = FireflypOptions;
    static constexpr Info info{.name = "fireflyp",
                               .summary = "Receives fireflies over UDP and announces their flows.",
                               .aliases = {"firefly"},
                               .precedence = FLOWD_PRECEDENCE_EXPLICIT};

    Fireflyp(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { FireflypOptions::validate(options, problems); }
    static std::vector<Tool> tools() { return {verify_tool()}; }
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> stop(Deadline deadline) override;
    void on_room() override { outbox_.drain(); }
    void status(json::Writer& object) const override;
    std::vector<Finding> findings() const;
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);

  private:
    static constexpr std::size_t batch = 64;
    /// Batches per wake-up, so that timers and commands are not delayed under load.
    static constexpr int batches_per_turn = 8;

    void read(Inlet& inlet);
    void take(const net::Datagram& datagram, std::uint16_t port, RateLimit::Clock::time_point now);
    /// Whether the datagram loops: it was sent by this daemon, or was received recently.
    [[nodiscard]] bool circulates(const firefly::Firefly& firefly, const Address& peer, RateLimit::Clock::time_point now);
    void turn_away(TurnedAway reason) { ++turned_away_[static_cast<std::size_t>(reason)]; }
    void warn_of_loop();
    void settle();
    /// Announces the events of batch_. False: reading must stop.
    bool announce();
    /// Pauses reading while the bus is full.
    void read_on(bool has_room);
    /// In stop(): announces pending events, then reads the sockets until they are empty or the deadline has passed.
    void drain(const Deadline& deadline);
    void publish();
    [[nodiscard]] std::uint64_t sum_of(std::uint64_t (Inlet::*count)() const) const;

    Options options_;
    std::list<Inlet> inlets_;
    net::ReceiveBatch receive_;
    firefly::Parser parser_;
    Allowed allowed_;
    RateLimit rate_;
    Relay relay_;
    std::uint64_t boot_ = firefly::this_boot();
    Damper numbers_{std::chrono::seconds(60), 1u << 17};
    Streams streams_;
    std::optional<Address> loop_peer_;  ///< sender of a loop since the last warning
    unsigned loop_silence_ = 0;         ///< seconds until the next warning

    EventBatch batch_;
    Outbox outbox_{host(), [this](bool has_room) { read_on(has_room); }};  ///< borrows from batch_

    std::array<std::uint64_t, turned_away_names.size()> turned_away_{};
    std::array<std::uint64_t, firefly::refusal_names.size()> refused_{};
    std::string last_error_;

    Counters counters_;
    Publisher publisher_{host(), [this] { publish(); }, [this] { settle(); }};
};

}  // namespace flowd::fireflyp
