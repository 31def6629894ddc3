// SPDX-License-Identifier: Apache-2.0
// lib/netlink/socket.hpp: requests lists from the kernel (netlink(7), rtnetlink(7), sock_diag(7)). One thread at a time.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"
#include "lib/netlink/message.hpp"

namespace flowd::nl {

struct CloseSocket {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using Handle = std::unique_ptr<mnl_socket, CloseSocket>;

/// For one request at a time, in the network namespace of the thread that opened it.
class Socket {
  public:
    using Visitor = std::function<void(const Message&)>;

    /// `bus`: NETLINK_ROUTE, NETLINK_SOCK_DIAG. `interrupt`: a descriptor, borrowed, or -1; once it is readable, dumps end
    /// with FLOWD_STOPPED.
    [[nodiscard]] static Result<Socket> open(int bus, int interrupt = -1);
    /// Uses an open socket.
    [[nodiscard]] static Result<Socket> adopt(UniqueFd fd, int interrupt = -1);

    /// Requests all objects of a kind and calls `each` for each message of the answer. A list that changed meanwhile
    /// (NLM_F_DUMP_INTR), or of which a part was dropped (ENOBUFS), is requested again, a few times: `restart` is called
    /// before, so that the messages given to `each` can be discarded; it may be empty if duplicates are harmless. Returns
    /// after 10 s at most. An error means that the list is incomplete.
    template <typename Body>
    Result<void> dump(std::uint16_t type, const Body& body, const Visitor& each, const std::function<void()>& restart) {
        static_assert(std::is_trivially_copyable_v<Body> && sizeof(Body) <= largest_body);
        return dump(type, std::as_bytes(std::span(&body, 1)), each, restart);
    }
    /// Requests one object: `each` is called for the answer, unless the request is refused.
    template <typename Body>
    Result<void> get(std::uint16_t type, const Body& body, const Visitor& each) {
        static_assert(std::is_trivially_copyable_v<Body> && sizeof(Body) <= largest_body);
        return get(type, std::as_bytes(std::span(&body, 1)), each);
    }
    /// Requests all changes by one call, in this order: no kill comes between them. The kernel tries each of them, also
    /// after one that it refused, and undoes none. Returns the first error.
    Result<void> change(std::span<Change> changes);

  private:
    using Clock = std::chrono::steady_clock;
    static constexpr std::size_t largest_body = 128;
    struct Request {
        Request(std::uint16_t type, std::uint16_t flags, std::span<const std::byte> body);
        nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(bytes.data()); }
        alignas(nlmsghdr) std::array<std::byte, NLMSG_HDRLEN + largest_body> bytes{};
    };

    Socket(Handle handle, int interrupt) : handle_(std::move(handle)), interrupt_(interrupt) {}
    Result<void> dump(std::uint16_t type, std::span<const std::byte> body, const Visitor& each,
                      const std::function<void()>& restart);
    Result<void> get(std::uint16_t type, std::span<const std::byte> body, const Visitor& each);
    [[nodiscard]] Result<bool> exchange(const nlmsghdr& request, std::span<std::byte> buffer, const Visitor& each,
                                        Clock::time_point until) const;
    [[nodiscard]] Result<void> wait(Clock::time_point until) const;

    Handle handle_;
    int interrupt_;
    std::uint32_t sequence_ = 0;
};

struct Datagram {
    enum class Kind : std::uint8_t { none, messages, lost };
    Kind kind = Kind::none;
    std::span<const std::byte> bytes;
};
/// Reads one datagram without waiting. none: there is nothing to read. lost: the kernel dropped messages (ENOBUFS), or the
/// datagram did not fit into `buffer`. What another process sent has no bytes.
[[nodiscard]] Result<Datagram> receive(const mnl_socket& socket, std::span<std::byte> buffer);

}  // namespace flowd::nl
