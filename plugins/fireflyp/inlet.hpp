// SPDX-License-Identifier: Apache-2.0
// A socket at which fireflies are received. [instance] without a tag; calls are made one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "flowd/counters.hpp"
#include "flowd/module.hpp"
#include "lib/net/receive_batch.hpp"
#include "lib/net/udp_socket.hpp"

namespace flowd::fireflyp {

class Inlet {
  public:
    /// `resource`: the name under which its socket is handed over (flowd/abi/ext/descriptors.h), and a number behind it.
    /// `index`: among `sockets` that share the port.
    Inlet(Host& host, const Endpoint& endpoint, const std::string& resource, std::uint32_t index, std::uint32_t sockets);

    Result<void> prepare(const net::UdpSocket::Binding& binding);
    /// With the sockets of a port bound: distributes its senders over them.
    [[nodiscard]] Result<void> steer() const;
    /// Of the first socket, after a reload that failed and with the sockets of this instance handed over: distributes the
    /// senders over those that the predecessor has.
    void steer_back() const;
    /// Calls `readable` while there is something to read.
    Result<void> watch(std::function<void()> readable);
    /// False: pauses the calls of `readable`.
    void read_on(bool reads);
    void stop() { watch_.reset(); }
    /// Lets a successor, or systemd, have the socket alone. True: it has it, and continues to read.
    bool hand_over();
    /// As hand_over(), but true only if another instance has the socket: what only systemd holds is read by nobody.
    bool has_successor();
    /// Closes the socket. Returns the number of datagrams that were not read.
    [[nodiscard]] std::uint64_t close(net::ReceiveBatch& into);

    [[nodiscard]] int fd() const { return socket_->fd(); }
    [[nodiscard]] std::uint16_t port() const { return endpoint_.port; }
    [[nodiscard]] std::string address() const { return endpoint_.to_string(); }
    /// An upper bound of the datagrams that have not been read.
    [[nodiscard]] std::size_t queued() const { return socket_->queued(); }
    /// [any] Counts a batch: its datagrams, and the kernel's count of drops that came with it.
    void count(std::size_t datagrams, std::optional<std::uint32_t> drops);
    [[nodiscard]] std::uint64_t received() const { return received_; }
    /// Datagrams that the kernel dropped because its buffer was full, since this instance has the socket. A datagram
    /// carries the count of drops before it (SO_RXQ_OVFL); this call also queries the socket for those after the last one.
    [[nodiscard]] std::uint64_t drops() const;
    void publish();
    void status(json::Writer& writer) const;
    /// A warning if datagrams were dropped in the last ten minutes.
    void add_findings(std::vector<Finding>& all) const;

  private:
    using Clock = std::chrono::steady_clock;
    void note_drops(std::uint32_t total) const;
    /// Warns of drops that no warning has reported.
    void tell_drops();
    [[nodiscard]] std::string name() const;

    Host& host_;
    Endpoint endpoint_;
    std::string resource_;
    std::uint32_t index_, sockets_;
    std::optional<net::UdpSocket> socket_;
    std::uint64_t received_ = 0;
    mutable std::uint64_t drops_ = 0;
    mutable std::uint32_t drops_seen_ = 0;  ///< the kernel's count at its last reading; it wraps
    mutable std::optional<Clock::time_point> last_drop_;
    std::uint64_t drops_told_ = 0;
    Counters counters_;
    Watch watch_;  // declared after the socket: destroyed before its descriptor is closed
};

}  // namespace flowd::fireflyp
