// SPDX-License-Identifier: Apache-2.0
// A receiver on loopback, on a port that the kernel chose.
#pragma once

#include <poll.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "lib/net/receive_batch.hpp"
#include "lib/net/udp_socket.hpp"

namespace flowd::net {

class Loopback {
  public:
    explicit Loopback(const char* address = "::1", int receive_buffer = 0)
        : Loopback(Endpoint{Address::parse(address).value(), 0}, receive_buffer) {}
    explicit Loopback(const Endpoint& endpoint, int receive_buffer = 0)
        : socket_(must(UdpSocket::bound(endpoint, receive_buffer))), batch_(64, 65535) {}

    [[nodiscard]] Endpoint endpoint() const { return must(socket_.local()); }
    [[nodiscard]] const UdpSocket& socket() const { return socket_; }
    [[nodiscard]] UniqueFd duplicate() const { return UniqueFd(::dup(socket_.fd())); }

    /// Waits until so many datagrams have come in all, or for ten seconds.
    const std::vector<std::string>& wait_for(std::size_t count) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (received_.size() < count && std::chrono::steady_clock::now() < end) {
            pollfd wanted{socket_.fd(), POLLIN, 0};
            if (::poll(&wanted, 1, 100) > 0) take();
        }
        return received_;
    }
    /// What is there, without waiting.
    const std::vector<std::string>& take() {
        auto datagrams = batch_.receive(socket_.fd());
        for (; datagrams && !datagrams->empty(); datagrams = batch_.receive(socket_.fd()))
            for (const auto& datagram : *datagrams) received_.emplace_back(datagram.payload);
        return received_;
    }

    template <typename T>
    static T must(Result<T> result) {
        if (!result) throw std::runtime_error(result.error().message);
        return std::move(result).value();
    }

  private:
    UdpSocket socket_;
    ReceiveBatch batch_;
    std::vector<std::string> received_;
};

}  // namespace flowd::net
