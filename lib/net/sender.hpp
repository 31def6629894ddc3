// SPDX-License-Identifier: Apache-2.0
// lib/net/sender.hpp: sends datagrams in batches from a bounded queue. Belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/address.hpp"
#include "lib/net/udp_socket.hpp"

namespace flowd::net {

/// sent + dropped + failed + waiting is the number of datagrams that were pushed.
struct SenderCounts {
    std::uint64_t sent = 0;     ///< passed to the kernel
    std::uint64_t dropped = 0;  ///< the queue was full, or it was discarded
    std::uint64_t failed = 0;   ///< the kernel did not accept it
    std::uint64_t refused =
        0;  ///< errors of the peer or the path to it: of datagrams that were sent (ICMP), or of attempts
};

/// A bounded queue in front of a socket. Datagrams stay in it while there is no socket, while the socket buffer is full,
/// and after the peer of a connected socket has refused (no listener, no route).
class Sender {
  public:
    /// The size of a batch (sendmmsg).
    static constexpr std::size_t batch = 64;
    /// From this many queued datagrams on, those to one peer are passed to the kernel as one message (UDP_SEGMENT), as far
    /// as it allows: all have one length, but for a shorter last one. They pass the network stack together and are cut
    /// apart behind it; a capture on this host may show them as one packet, which is why it is not done for a few.
    static constexpr std::size_t least_merged = 16;

    /// `limit`: capacity of the queue.
    explicit Sender(std::size_t limit = 1024) : limit_(limit) {}

    /// Queued datagrams are sent by the next flush().
    void use(UdpSocket socket) {
        socket_ = std::move(socket);
        merges_ = true;
    }
    void close() { socket_.reset(); }
    [[nodiscard]] const std::optional<UdpSocket>& socket() const { return socket_; }

    /// Copies the datagram. `to`: for an unconnected socket; `interface`: for a link-local one. False: dropped and counted.
    bool push(std::string_view payload, const std::optional<Endpoint>& to = std::nullopt, std::uint32_t interface = 0);
    /// Sends what is queued. False: the socket buffer is full; call again when the socket is writable. Sends nothing while
    /// refused().
    bool flush();
    /// The peer refused: nothing is sent until release().
    [[nodiscard]] bool refused() const { return refused_; }
    void release() { refused_ = false; }
    /// Sends one queued datagram although the peer refused. False: none was sent.
    bool probe();

    [[nodiscard]] std::size_t waiting() const { return count_; }
    /// Discards what is queued; it counts as dropped.
    void discard();
    [[nodiscard]] const SenderCounts& counts() const { return counts_; }
    [[nodiscard]] const std::string& last_error() const { return last_error_; }
    /// The errno of the latest refusal; 0: none.
    [[nodiscard]] int last_refusal() const { return last_refusal_; }
    /// The peer refused a datagram that was counted as sent.
    void note_refusal(int number);

  private:
    struct Item {
        std::string payload;
        sockaddr_storage to{};
        socklen_t to_length = 0;
    };

    [[nodiscard]] std::size_t send_some(std::size_t wanted);
    /// How many of the `most` datagrams from `first` on go into one message.
    [[nodiscard]] std::size_t train(std::size_t first, std::size_t most);
    [[nodiscard]] Item& at(std::size_t i) { return ring_[(first_ + i) % ring_.size()]; }
    void pop(std::size_t count);
    void fail_first(int number);
    void grow();

    std::size_t limit_;
    std::optional<UdpSocket> socket_;
    std::vector<Item> ring_;
    std::size_t first_ = 0;
    std::size_t count_ = 0;
    SenderCounts counts_;
    std::string last_error_;
    int last_refusal_ = 0;
    bool refused_ = false;
    bool merges_ = true;    ///< until the kernel refuses it for this socket (no checksum offload, IPsec, a small MTU)
    bool merging_ = false;  ///< decided once per flush(): the last few datagrams of a long queue are merged as well
    bool merged_ = false;   ///< the first message of the last attempt had several datagrams
};

}  // namespace flowd::net
