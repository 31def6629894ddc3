// SPDX-License-Identifier: Apache-2.0
// lib/net/target.hpp: a destination of datagrams, by address or by name. Belongs to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "flowd/address.hpp"
#include "flowd/result.hpp"
#include "lib/net/lookup.hpp"
#include "lib/net/own_sockets.hpp"
#include "lib/net/sender.hpp"

namespace flowd::net {

/// Resolves its name, again on a schedule and after a failure, connects, and sends. Datagrams that cannot be sent are
/// queued, up to a limit. After a peer has refused (ICMP), one datagram is sent as a probe, with increasing delays, until
/// one is not refused. Never blocks. Its owner calls tick() at due().
class Target {
  public:
    using Clock = std::chrono::steady_clock;
    /// True for an endpoint that must not be sent to.
    using Forbidden = std::function<bool(const Endpoint&)>;

    struct Schedule {
        std::chrono::milliseconds poll{50};       ///< interval of checks for the answer of the resolver
        std::chrono::milliseconds again{60'000};  ///< until a name that was resolved is resolved again
        std::chrono::milliseconds probe{1'000};   ///< how long to wait for the refusal of a probe
        /// The same where the host did not answer: neighbour discovery gives up after 3 s (RFC 4861 section 10).
        std::chrono::milliseconds host_probe{5'000};
        std::chrono::milliseconds first_retry{1'000};
        std::chrono::milliseconds last_retry{60'000};  ///< doubling up to this
    };
    enum class State : std::uint8_t {
        resolving,  ///< no address yet
        sending,
        refused,  ///< the peer refuses datagrams: they are queued
    };

    /// Why nothing is sent.
    enum class Trouble : std::uint8_t {
        none,   ///< it is sent, or the first answer of the resolver is pending
        name,   ///< the name has no address that can be used
        route,  ///< this host cannot send to the address
        host,   ///< the host of the address does not answer
        peer,   ///< the peer refuses
    };

    Target(std::string host, std::uint16_t port, std::unique_ptr<Lookup> lookup = system_lookup());
    Target(std::string host, std::uint16_t port, std::unique_ptr<Lookup> lookup, Schedule schedule,
           std::size_t queue_limit = default_queue);
    static constexpr std::size_t default_queue = 1024;

    /// Does what is due: reads the answer of the resolver, connects, probes, begins the next query. Returns due().
    Clock::time_point tick(Clock::time_point now, const Forbidden& forbidden);
    /// Schedule::again, in force from the next answer on.
    void resolve_every(std::chrono::milliseconds interval) { schedule_.again = interval; }
    /// When tick() is to be called; a flush() may bring it forward.
    [[nodiscard]] Clock::time_point due() const { return due_; }

    /// Queues a datagram; flush() sends it.
    bool push(std::string_view payload) { return sender_.push(payload); }
    /// False: wait until fd() is writable.
    bool flush(Clock::time_point now);

    [[nodiscard]] int fd() const { return sender_.socket() ? sender_.socket()->fd() : -1; }
    [[nodiscard]] const Sender& sender() const { return sender_; }
    void discard() { sender_.discard(); }
    [[nodiscard]] State state() const;
    [[nodiscard]] const std::string& name() const { return name_; }
    /// "collector.example.org:10514", "[2001:db8::1]:10514" and "[fe80::1%eth0]:10514" in one form for all spellings of an
    /// address.
    [[nodiscard]] static std::string name_of(const std::string& host, std::uint16_t port);
    [[nodiscard]] const std::optional<Endpoint>& endpoint() const { return endpoint_; }
    [[nodiscard]] const std::string& address_text() const { return address_text_; }  ///< of endpoint(); empty without one
    /// Largest payload that is not fragmented; 0: unknown.
    [[nodiscard]] std::size_t path_payload() const { return path_payload_; }
    /// A query is pending: trouble() may be out of date.
    [[nodiscard]] bool waits_for_answer() const { return lookup_->pending(); }
    /// Why it is not connected; empty when it is. Changes of this text are worth a log line.
    [[nodiscard]] const std::string& trouble() const { return trouble_; }
    /// Reason for the present state.
    [[nodiscard]] Trouble trouble_kind() const { return state() == State::sending ? Trouble::none : kind_; }
    /// Unix time in nanoseconds since which trouble() has been non-empty; 0 if it is empty.
    [[nodiscard]] std::int64_t trouble_since_ns() const { return trouble_since_ns_; }

  private:
    void connect(const std::vector<Address>& addresses, Clock::time_point now, const Forbidden& forbidden);
    [[nodiscard]] std::vector<Address> in_order(const std::vector<Address>& addresses) const;
    void connected(Clock::time_point now);
    void unresolved(std::string why, Clock::time_point now);
    void probe(Clock::time_point now);
    void judge_probe(Clock::time_point now);
    void lost(std::string why, Trouble kind, Clock::time_point now);

    std::string host_;
    std::uint16_t port_;
    std::string name_;
    std::optional<Address> literal_;
    std::string zone_;             ///< of literal_
    std::uint32_t interface_ = 0;  ///< index that zone_ had when the socket was connected
    std::unique_ptr<Lookup> lookup_;
    Schedule schedule_;
    Sender sender_;
    std::optional<Endpoint> endpoint_;
    std::string address_text_;
    std::size_t path_payload_ = 0;
    std::string trouble_;
    std::chrono::milliseconds retry_;
    Clock::time_point due_{};       ///< of the next call
    Trouble kind_ = Trouble::none;  ///< of trouble_
    std::int64_t trouble_since_ns_;
    bool refused_ = false;  ///< until a probe is not refused
    bool probing_ = false;  ///< a probe is pending
};

}  // namespace flowd::net
