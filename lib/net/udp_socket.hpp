// SPDX-License-Identifier: Apache-2.0
// lib/net/udp_socket.hpp: a UDP socket that never blocks. Thread-aware, not thread-safe.
#pragma once

#include <cstdint>

#include "flowd/address.hpp"
#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::net {

class UdpSocket {
  public:
    struct Binding {
        int receive_buffer = 0;   ///< bytes, 0 leaves the system's; without privilege the kernel grants its rmem_max
        bool reuse_port = false;  ///< others that say so too may bind there (SO_REUSEPORT)
    };
    /// Bound for receiving. "::" also takes IPv4. A port in use is FLOWD_BUSY.
    [[nodiscard]] static Result<UdpSocket> bound(const Endpoint& local, const Binding& binding);
    [[nodiscard]] static Result<UdpSocket> bound(const Endpoint& local, int receive_buffer = 0) {
        return bound(local, Binding{receive_buffer, false});
    }
    /// Connected, so that an ICMP error of one peer is seen by the next send to it. `interface`: index, for a link-local
    /// peer.
    [[nodiscard]] static Result<UdpSocket> connected(const Endpoint& peer, std::uint32_t interface = 0);
    /// For send_to, of the family of `like`.
    [[nodiscard]] static Result<UdpSocket> unconnected(const Address& like);
    /// A socket that somebody else bound: systemd or a predecessor. Refuses what is no UDP socket.
    [[nodiscard]] static Result<UdpSocket> adopted(UniqueFd fd, int receive_buffer = 0);

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] Result<Endpoint> local() const;
    /// Bytes the kernel really buffers.
    [[nodiscard]] int receive_buffer() const;
    /// Datagrams the kernel has dropped since the socket was made, because the buffer was full (SO_MEMINFO). Wraps at 2^32.
    /// ReceiveBatch::drops is the same count as of a datagram; this one also has what no datagram has followed yet.
    [[nodiscard]] std::uint32_t drops() const;
    /// Datagrams that wait to be received: never fewer than there are.
    [[nodiscard]] std::size_t queued() const;
    /// What the peer answered to an earlier datagram (errno), once; 0: nothing. Connected sockets only.
    [[nodiscard]] int take_error() const;
    /// Longest payload that needs no fragment on the way to the peer, as far as known; connected sockets only, 0: unknown.
    [[nodiscard]] std::size_t path_payload() const;

  private:
    explicit UdpSocket(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace flowd::net
