// SPDX-License-Identifier: Apache-2.0
// Queries STUN servers for the public address that a NAT assigns to this host. [instance]
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/firefly/options.hpp"
#include "flowd/counters.hpp"
#include "flowd/host.hpp"
#include "flowd/json.hpp"
#include "lib/net/lookup.hpp"
#include "lib/net/stun.hpp"
#include "lib/net/udp_socket.hpp"

namespace flowd::firefly_backend {

/// Queries the servers in their order; the first answer ends the round. IPv4 only, because NAT is used with IPv4. Never
/// blocks. The address stays in use while later rounds fail.
class StunClient {
  public:
    struct Schedule {
        std::chrono::milliseconds poll{50};  ///< interval of checks for the answer of the resolver
        /// RFC 8489 section 6.2.1, but fewer: requests at 0, 0.5, 1.5 and 3.5 s, failure after 7.5 s.
        std::chrono::milliseconds first_wait{500};
        unsigned requests = 4;
        std::chrono::milliseconds again{600'000};  ///< until the next round after an answer
        std::chrono::milliseconds first_retry{30'000};
        std::chrono::milliseconds last_retry{600'000};  ///< doubling up to this
    };
    struct Learnt {
        Address local, global;  ///< equal where there is no NAT
        std::string server;
        std::int64_t time_ns = 0;  ///< Unix time
    };
    using MakeLookup = std::function<std::unique_ptr<net::Lookup>()>;

    /// `changed`: learnt() has another address than before.
    StunClient(Host& host, std::function<void()> changed, MakeLookup make_lookup = net::system_lookup)
        : host_(host), changed_(std::move(changed)), make_lookup_(std::move(make_lookup)) {}

    /// Begins to query these; none: stops, and discards the address. The same servers as before: no effect. An address that
    /// a removed server had answered is discarded without calling `changed`.
    void use(std::vector<StunServer> servers);
    void stop();
    [[nodiscard]] const std::optional<Learnt>& learnt() const { return learnt_; }

    void publish() {
        if (counters_) counters_->publish();
    }
    /// One member, "stun"; none without servers.
    void status(json::Writer& object) const;

  private:
    struct Counts {
        std::uint64_t asked = 0, answered = 0, failed = 0;  ///< queries of servers
        std::uint64_t ignored = 0;                          ///< datagrams that were not an answer
    };
    void begin_round();
    void ask();
    void poll_name();
    void connect(const std::vector<Address>& addresses);
    [[nodiscard]] Result<void> open(const Endpoint& server);
    void transmit();
    void receive();
    void answered(const Address& global);
    void failed(const std::string& why);
    void all_failed();
    void wait(std::chrono::milliseconds delay, void (StunClient::*then)());

    Host& host_;
    std::function<void()> changed_;
    MakeLookup make_lookup_;
    Schedule schedule_;
    std::vector<StunServer> servers_;
    std::optional<Learnt> learnt_;
    Counts counts_;
    std::optional<Counters> counters_;  ///< once there are servers
    std::string last_error_;            ///< of this round
    bool warned_ = false;               ///< that no server answers
    std::chrono::milliseconds retry_{};

    std::size_t present_ = 0;  ///< index into servers_ of the one that is queried
    std::unique_ptr<net::Lookup> lookup_;
    std::optional<net::UdpSocket> socket_;
    Address local_;  ///< of socket_
    net::stun::TransactionId id_{};
    unsigned requests_ = 0;  ///< sent to the present server
    std::string odd_;        ///< why the last datagram from it was ignored
    Timer timer_;
    Watch readable_;  // declared after the socket: destroyed before its descriptor is closed
};

}  // namespace flowd::firefly_backend
