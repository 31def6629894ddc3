// SPDX-License-Identifier: Apache-2.0
// lib/net/udp_socket.hpp: a UDP socket that never blocks. Not bound to a thread, not thread-safe.
#pragma once

#include <cstdint>

#include "flowd/address.hpp"
#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::net {

class UdpSocket {
  public:
    struct Binding {
        int receive_buffer = 0;   ///< bytes; 0: the system's default; without privilege at most rmem_max
        bool reuse_port = false;  ///< other sockets with the same option may be bound to the port (SO_REUSEPORT)
    };
    /// Bound for receiving. "::" also receives IPv4. A port in use is FLOWD_BUSY.
    [[nodiscard]] static Result<UdpSocket> bound(const Endpoint& local, const Binding& binding);
    [[nodiscard]] static Result<UdpSocket> bound(const Endpoint& local, int receive_buffer = 0) {
        return bound(local, Binding{receive_buffer, false});
    }
    /// Connected, so that the next send to a peer reports its ICMP error. `interface`: index, for a link-local
    /// peer.
    [[nodiscard]] static Result<UdpSocket> connected(const Endpoint& peer, std::uint32_t interface = 0);
    /// For send_to, of the family of `like`.
    [[nodiscard]] static Result<UdpSocket> unconnected(const Address& like);
    /// A socket that systemd or a predecessor bound. Refuses descriptors that are not UDP sockets.
    [[nodiscard]] static Result<UdpSocket> adopted(UniqueFd fd, int receive_buffer = 0);

    /// From now on other sockets of this user may be bound to its port with Binding::reuse_port; none could before.
    [[nodiscard]] Result<void> share_port() const;
    [[nodiscard]] bool shares_port() const;
    /// Distributes what comes to the port over the first `sockets` of those that share it, in the order in which they were
    /// bound, by the address of the sending host: what one host sends stays in order. Needs no privilege.
    [[nodiscard]] Result<void> steer_by_sender(std::uint32_t sockets) const;

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] Result<Endpoint> local() const;
    /// The size that the kernel granted.
    [[nodiscard]] int receive_buffer() const;
    /// Datagrams that the kernel has dropped since the socket was created, because the buffer was full (SO_MEMINFO). Wraps
    /// at 2^32. ReceiveBatch::drops is the same count at the time of a datagram; this one includes drops after the last
    /// datagram.
    [[nodiscard]] std::uint32_t drops() const;
    /// An upper bound of the datagrams that have not been read.
    [[nodiscard]] std::size_t queued() const;
    /// The pending error (errno) of an earlier datagram, which is cleared; 0: none. Connected sockets only.
    [[nodiscard]] int take_error() const;
    /// Empties the error queue (ip(7), IP_RECVERR). This clears the pending error as well. Returns the errno of the
    /// last error in it; EMSGSIZE only if it had no other error; 0 if it was empty. Connected sockets only.
    int take_queued_error() const;
    /// Largest payload that is not fragmented on the path to the peer, as far as known; connected sockets only, 0: unknown.
    [[nodiscard]] std::size_t path_payload() const;

  private:
    explicit UdpSocket(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace flowd::net
