// SPDX-License-Identifier: Apache-2.0
// The fireflyp plugin: receives fireflies over UDP and announces their flows.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flowd/module.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/net/receive_batch.hpp"
#include "lib/net/udp_socket.hpp"
#include "plugins/fireflyp/options.hpp"
#include "plugins/fireflyp/relay.hpp"

namespace flowd::fireflyp {

/// Back-pressure: when the bus is full, reading stops at the datagram that did not fit, and goes on with it when there is
/// room. Meanwhile the kernel's buffer takes what comes; what it cannot take is its drop, and is counted.
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

    enum class Taken { yes, full, stopped };

    void on_readable();
    /// False when reading has to stop.
    bool drain();
    [[nodiscard]] Taken take(const net::Datagram& datagram);
    [[nodiscard]] Taken announce(const net::Datagram& datagram, const firefly::Firefly& firefly);
    void refuse(firefly::Refusal refusal) { ++refused_[static_cast<std::size_t>(refusal)]; }
    void count_drops();
    void publish();

    Options options_;
    std::string resource_;  ///< "udp:127.0.0.1:10514"
    std::optional<net::UdpSocket> socket_;
    net::ReceiveBatch receive_;
    firefly::Parser parser_;
    Relay relay_;

    std::span<const net::Datagram> waiting_;  ///< of the last batch, not yet taken
    bool passed_on_ = false;                  ///< the first of them is with the relay already

    std::uint64_t received_ = 0;
    std::array<std::uint64_t, firefly::refusal_names.size()> refused_{};
    std::array<std::uint64_t, 4> announced_{};  ///< by kind of event
    std::uint64_t not_taken_ = 0;               ///< the core found the event malformed or over a cap
    std::uint64_t pauses_ = 0;
    std::uint64_t drops_ = 0;
    std::uint32_t drops_seen_ = 0;
    std::string last_error_;

    Counter received_metric_, drops_metric_, not_taken_metric_, pauses_metric_;
    std::vector<Counter> refused_metrics_, announced_metrics_;
    bool paused_ = false;
    Watch readable_;  // behind the socket: ends before its descriptor does
    Timer publisher_;
};

}  // namespace flowd::fireflyp
