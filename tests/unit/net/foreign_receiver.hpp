// SPDX-License-Identifier: Apache-2.0
// A receiver in a process of its own: what modules send to this very process, they refuse as a loop.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "lib/net/udp_socket.hpp"

namespace flowd::net {

class ForeignReceiver {
  public:
    explicit ForeignReceiver(const char* address = "::1") {
        auto socket = UdpSocket::bound({Address::parse(address).value(), 0}, 1 << 20);
        std::array<int, 2> ends{};
        if (!socket || ::pipe(ends.data()) != 0) throw std::runtime_error("no receiver");
        endpoint_ = socket->local().value();
        child_ = ::fork();
        if (child_ == 0) forward(socket->fd(), ends[1]);
        pipe_ = UniqueFd(ends[0]);
        const UniqueFd ours(ends[1]);
        if (child_ < 0) throw std::runtime_error("no child");
    }
    ForeignReceiver(const ForeignReceiver&) = delete;
    ForeignReceiver& operator=(const ForeignReceiver&) = delete;
    ~ForeignReceiver() {
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
    }

    [[nodiscard]] Endpoint endpoint() const { return endpoint_; }
    /// Waits until so many datagrams have come in all, or for ten seconds. `meanwhile` runs again and again.
    const std::vector<std::string>& wait_for(
        std::size_t count, const std::function<void()>& meanwhile = [] {}) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (received_.size() < count && std::chrono::steady_clock::now() < end) {
            meanwhile();
            take(20);
        }
        return received_;
    }
    const std::vector<std::string>& take(int milliseconds = 0) {
        pollfd wanted{pipe_.get(), POLLIN, 0};
        while (::poll(&wanted, 1, milliseconds) > 0) {
            std::uint32_t size = 0;
            if (!read_all(&size, sizeof size)) break;
            std::string text(size, '\0');
            if (!read_all(text.data(), size)) break;
            received_.push_back(std::move(text));
            milliseconds = 0;
        }
        return received_;
    }

  private:
    [[noreturn]] static void forward(int socket, int pipe) {
        std::array<char, 65536> buffer{};
        pollfd wanted{socket, POLLIN, 0};
        for (;;) {
            (void)::poll(&wanted, 1, -1);
            const ssize_t size = ::recv(socket, buffer.data(), buffer.size(), 0);
            if (size < 0) continue;
            const auto length = static_cast<std::uint32_t>(size);
            if (::write(pipe, &length, sizeof length) != sizeof length || ::write(pipe, buffer.data(), length) != size)
                ::_exit(1);
        }
    }
    bool read_all(void* to, std::size_t size) {
        for (auto* at = static_cast<char*>(to); size > 0;) {
            const ssize_t got = ::read(pipe_.get(), at, size);
            if (got <= 0) return false;
            at += got;
            size -= static_cast<std::size_t>(got);
        }
        return true;
    }

    Endpoint endpoint_;
    UniqueFd pipe_;
    pid_t child_ = -1;
    std::vector<std::string> received_;
};

}  // namespace flowd::net
