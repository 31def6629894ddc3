// SPDX-License-Identifier: Apache-2.0
// Real TCP connections on loopback, with a hand on each end.
#pragma once

#include <linux/tcp.h>
#include <netinet/in.h>

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>

#include "flowd/address.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::diag {

inline int must(int result, const char* what) {
    if (result < 0) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
    return result;
}

inline Endpoint own_end(int fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    must(::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size), "getsockname");
    return Endpoint::from(storage).value();
}

inline std::uint64_t cookie_of(int fd) {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    must(::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), "SO_COOKIE");
    return cookie;
}

/// What the kernel could not tell this process's sock_diag sockets, as /proc/net/netlink counts it.
inline int netlink_drops() {
    std::set<std::string> own;
    for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code error;  // the descriptor that lists them is gone by now
        const std::string target = std::filesystem::read_symlink(fd, error).string();
        if (target.rfind("socket:[", 0) == 0) own.insert(target.substr(8, target.size() - 9));
    }
    std::ifstream table("/proc/self/net/netlink");
    int drops = 0;
    for (std::string line; std::getline(table, line);) {
        std::istringstream words(line);
        std::array<std::string, 10> columns;  // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
        for (std::string& column : columns) words >> column;
        if (own.count(columns[9]) != 0) drops += std::stoi(columns[8]);
    }
    return drops;
}

class Listener {
  public:
    /// "::" listens for both families.
    explicit Listener(const char* address) : fd_(must(::socket(family(address), SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")) {
        const int on = 1, off = 0;
        must(::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
        if (family(address) == AF_INET6)
            must(::setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), "V6ONLY");
        bind_to(fd_.get(), address, 0);
        must(::listen(fd_.get(), 4096), "listen");
    }
    [[nodiscard]] std::uint16_t port() const { return own_end(fd_.get()).port; }
    [[nodiscard]] UniqueFd accept() const {
        return UniqueFd(must(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept"));
    }

    static int family(const char* address) { return std::strchr(address, ':') != nullptr ? AF_INET6 : AF_INET; }
    static void bind_to(int fd, const char* address, std::uint16_t port) {
        sockaddr_storage storage{};
        const socklen_t size = storage_of(address, port, storage);
        must(::bind(fd, reinterpret_cast<const sockaddr*>(&storage), size), "bind");
    }
    static socklen_t storage_of(const char* address, std::uint16_t port, sockaddr_storage& storage) {
        if (family(address) == AF_INET) return Endpoint{Address::parse(address).value(), port}.to(storage);
        sockaddr_in6 v6{};  // of a mapped address too: an IPv6 socket that speaks IPv4
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        std::memcpy(&v6.sin6_addr, Address::parse(address).value().bytes().data(), 16);
        std::memcpy(&storage, &v6, sizeof v6);
        return sizeof v6;
    }

  private:
    UniqueFd fd_;
};

/// A connection from `address` to the listener; the port is the kernel's choice, or `port`.
struct Pair {
    UniqueFd client, server;

    Pair(const Listener& listener, const char* address, std::uint16_t port = 0)
        : client(must(::socket(Listener::family(address), SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")) {
        const int on = 1;
        must(::setsockopt(client.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
        if (port != 0) Listener::bind_to(client.get(), address, port);
        sockaddr_storage storage{};
        const socklen_t size = Listener::storage_of(address, listener.port(), storage);
        must(::connect(client.get(), reinterpret_cast<const sockaddr*>(&storage), size), "connect");
        server = listener.accept();
    }
    [[nodiscard]] Endpoint client_end() const { return own_end(client.get()); }
    [[nodiscard]] Endpoint server_end() const { return own_end(server.get()); }
    [[nodiscard]] flowd_key key() const { return make_key(client_end(), server_end(), IPPROTO_TCP); }

    /// `bytes` from the client to the server, read there and acknowledged.
    void send(std::size_t bytes) { transfer(client.get(), server.get(), bytes); }
    void answer(std::size_t bytes) { transfer(server.get(), client.get(), bytes); }
    /// Both ends leave by RST, so that no TIME_WAIT holds the ports.
    void reset() {
        const linger now{1, 0};
        must(::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now), "SO_LINGER");
        client.reset();
        server.reset();
    }

  private:
    static void transfer(int from, int to, std::size_t bytes) {
        std::array<char, 4096> buffer{};
        while (bytes > 0) {
            const auto sent = must(static_cast<int>(::write(from, buffer.data(), std::min(bytes, buffer.size()))), "write");
            bytes -= static_cast<std::size_t>(sent);
            for (int left = sent; left > 0;)
                left -= must(static_cast<int>(::read(to, buffer.data(), static_cast<std::size_t>(left))), "read");
        }
        // On loopback the acknowledgement has come when the reader has read, but for a delayed one.
        const int on = 1;
        must(::setsockopt(to, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on), "TCP_QUICKACK");
    }
};

}  // namespace flowd::diag
