// SPDX-License-Identifier: Apache-2.0
// A client as plain as can be: a connected socket, bytes out, bytes in. Waits ten seconds at most.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "flowd/address.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::http::test {

/// The number of bytes that Content-Length announces; 0 without.
inline std::size_t body_size(std::string_view head) {
    const auto at = head.find("Content-Length: ");
    return at == std::string_view::npos ? 0 : std::stoul(std::string(head.substr(at + 16, 12)));
}

/// Where the body of chunks that begins at `at` ends, and the body; nothing if it is not whole.
inline std::optional<std::pair<std::size_t, std::string>> chunked_body(std::string_view text, std::size_t at) {
    std::string body;
    while (true) {
        const auto line = text.find("\r\n", at);
        if (line == std::string_view::npos) return std::nullopt;
        const std::size_t size = std::stoul(std::string(text.substr(at, line - at)), nullptr, 16);
        at = line + 2 + size + 2;
        if (text.size() < at) return std::nullopt;
        if (size == 0) return std::pair(at, std::move(body));
        body.append(text.substr(line + 2, size));
    }
}

class Client {
  public:
    explicit Client(const Endpoint& server) {
        sockaddr_storage storage{};
        const socklen_t length = server.to(storage);
        connect(storage.ss_family, reinterpret_cast<const sockaddr*>(&storage), length);
    }
    explicit Client(const std::filesystem::path& path) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.c_str(), path.native().size());
        connect(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }

    /// False when the server has closed.
    bool send(std::string_view text) const {
        while (!text.empty()) {
            const ssize_t sent = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
            if (sent < 0) return false;
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }
    void no_more() const { ::shutdown(fd_.get(), SHUT_WR); }
    /// The next answer, head and body; what there was when the server closed before it was whole.
    std::string answer() {
        while (true) {
            const auto head = buffer_.find("\r\n\r\n");
            if (head != std::string::npos && buffer_.find("Transfer-Encoding: chunked") < head) {
                if (auto body = chunked_body(buffer_, head + 4)) {
                    std::string one = buffer_.substr(0, head + 4) + body->second;
                    buffer_.erase(0, body->first);
                    return one;
                }
            } else if (head != std::string::npos) {
                const auto size = head + 4 + body_size(std::string_view(buffer_).substr(0, head));
                if (buffer_.size() >= size) {
                    const std::string one = buffer_.substr(0, size);
                    buffer_.erase(0, size);
                    return one;
                }
            }
            if (!more()) return std::exchange(buffer_, {});
        }
    }
    /// At most so many bytes of what comes next; empty when the server has closed.
    std::string next(std::size_t most = 65536) const {
        std::string piece(most, '\0');
        pollfd ready{fd_.get(), POLLIN, 0};
        if (::poll(&ready, 1, 10'000) != 1) throw std::runtime_error("the server says nothing");
        const ssize_t got = ::recv(fd_.get(), piece.data(), piece.size(), 0);
        piece.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
        return piece;
    }
    /// Everything until the server closes.
    std::string rest() {
        while (more()) {
        }
        return std::exchange(buffer_, {});
    }
    std::string ask(std::string_view request) {
        send(request);
        return answer();
    }

  private:
    void connect(int family, const sockaddr* address, socklen_t length) {
        fd_.reset(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (!fd_ || ::connect(fd_.get(), address, length) != 0) throw std::runtime_error("cannot connect");
    }
    bool more() {
        const std::string piece = next();
        buffer_ += piece;
        return !piece.empty();
    }

    UniqueFd fd_;
    std::string buffer_;
};

}  // namespace flowd::http::test
