// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/socket.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

namespace flowd::nl {
namespace {

constexpr std::size_t buffer_size = 64 * 1024;  // the kernel fills up to 32 KiB at a time
constexpr int attempts = 8;
constexpr std::chrono::seconds patience{1};  // for one datagram: the kernel replies at once or not at all
constexpr std::chrono::seconds longest{10};

}  // namespace

Result<Socket> Socket::open(int bus, int interrupt) {
    Handle handle(mnl_socket_open2(bus, SOCK_CLOEXEC));
    if (!handle) return Error::from_errno(errno, "opening a netlink socket");
    // If the kernel does not support this, an error has its errno only.
    int on = 1;
    (void)mnl_socket_setsockopt(handle.get(), NETLINK_EXT_ACK, &on, sizeof on);
    (void)mnl_socket_setsockopt(handle.get(), NETLINK_CAP_ACK, &on, sizeof on);
    return Socket(std::move(handle), interrupt);
}

Result<Socket> Socket::adopt(UniqueFd fd, int interrupt) {
    Handle handle(mnl_socket_fdopen(fd.get()));
    if (!handle) return Error::from_errno(errno, "adopting a netlink socket");
    (void)fd.release();
    return Socket(std::move(handle), interrupt);
}

Socket::Request::Request(std::uint16_t type, std::uint16_t flags, std::span<const std::byte> body) {
    nlmsghdr* const header = mnl_nlmsg_put_header(bytes.data());
    header->nlmsg_type = type;
    header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    std::copy(body.begin(), body.end(), static_cast<std::byte*>(mnl_nlmsg_put_extra_header(header, body.size())));
}

Result<void> Socket::get(std::uint16_t type, std::span<const std::byte> body, const Visitor& each) {
    Request request(type, NLM_F_ACK, body);
    request.header().nlmsg_seq = ++sequence_;
    std::vector<std::byte> buffer(buffer_size);
    auto complete = exchange(request.header(), buffer, each, Clock::now() + longest);
    if (!complete) return std::move(complete).error();
    if (!*complete) return Error{FLOWD_ERROR, "netlink: the answer was lost"};
    return {};
}

Result<void> Socket::dump(std::uint16_t type, std::span<const std::byte> body, const Visitor& each,
                          const std::function<void()>& restart) {
    Request request(type, NLM_F_DUMP, body);
    const auto until = Clock::now() + longest;
    std::vector<std::byte> buffer(buffer_size);
    for (int attempt = 0; attempt < attempts; ++attempt) {
        if (attempt > 0 && restart) restart();
        request.header().nlmsg_seq = ++sequence_;
        auto complete = exchange(request.header(), buffer, each, until);
        if (!complete) return std::move(complete).error();
        if (*complete) return {};
    }
    return Error{FLOWD_ERROR, "the list changed during each of " + std::to_string(attempts) + " requests"};
}

Result<void> Socket::change(std::span<Change> changes) {
    std::vector<std::byte> batch;
    for (Change& change : changes) {
        change.header().nlmsg_seq = ++sequence_;
        const auto* const begin = reinterpret_cast<const std::byte*>(&change.header());
        batch.insert(batch.end(), begin, begin + NLMSG_ALIGN(change.header().nlmsg_len));
    }
    if (mnl_socket_sendto(handle_.get(), batch.data(), batch.size()) < 0)
        return Error::from_errno(errno, "sending a netlink request");
    const std::uint32_t first = sequence_ - static_cast<std::uint32_t>(changes.size()) + 1;
    const auto until = Clock::now() + longest;
    std::vector<std::byte> buffer(buffer_size);
    std::optional<Error> refused;
    for (std::size_t answered = 0; answered < changes.size();) {
        if (auto ready = wait(until); !ready) return ready;
        auto datagram = receive(*handle_, buffer);
        if (!datagram) return std::move(datagram).error();
        if (datagram->kind == Datagram::Kind::lost) return Error{FLOWD_ERROR, "netlink: the answer was lost"};
        for_each_message(datagram->bytes, [&](const Message& message) {
            if (message.type() != NLMSG_ERROR || message.sequence() < first) return;
            ++answered;
            if (auto error = message.error(); error && !refused) refused = std::move(error);
        });
    }
    if (refused) return *std::move(refused);
    return {};
}

/// False: the list changed meanwhile, or a part was lost.
Result<bool> Socket::exchange(const nlmsghdr& request, std::span<std::byte> buffer, const Visitor& each,
                              Clock::time_point until) const {
    if (mnl_socket_sendto(handle_.get(), &request, request.nlmsg_len) < 0)
        return Error::from_errno(errno, "sending a netlink request");
    bool is_done = false, is_interrupted = false;
    std::optional<Error> refused;
    while (!is_done && !refused) {
        if (auto ready = wait(until); !ready) return std::move(ready).error();
        auto datagram = receive(*handle_, buffer);
        if (!datagram) return std::move(datagram).error();
        if (datagram->kind == Datagram::Kind::lost) is_interrupted = true;
        for_each_message(datagram->bytes, [&](const Message& message) {
            // Messages with another sequence number belong to an abandoned dump.
            if (message.sequence() != request.nlmsg_seq || is_done || refused) return;
            if ((message.flags() & NLM_F_DUMP_INTR) != 0 || message.type() == NLMSG_OVERRUN) is_interrupted = true;
            refused = message.error();
            is_done = message.type() == NLMSG_DONE || message.type() == NLMSG_ERROR;
            if (message.type() >= NLMSG_MIN_TYPE) each(message);
        });
    }
    if (refused) return *std::move(refused);
    return !is_interrupted;
}

/// Waits until the socket is readable.
Result<void> Socket::wait(Clock::time_point until) const {
    for (;;) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(std::min<Clock::duration>(until - Clock::now(), patience));
        std::array<pollfd, 2> watched{{{mnl_socket_get_fd(handle_.get()), POLLIN, 0}, {interrupt_, POLLIN, 0}}};
        const int ready = left.count() <= 0 ? 0 : ::poll(watched.data(), watched.size(), static_cast<int>(left.count()));
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) return Error::from_errno(errno, "waiting for a netlink answer");
        if (watched[1].revents != 0) return Error{FLOWD_STOPPED, "netlink: the request was interrupted by a stop"};
        if (ready == 0)
            return Error{FLOWD_ERROR, "netlink: the kernel did not answer in time (1 s, 10 s for a whole list)"};
        return {};
    }
}

Result<Datagram> receive(const mnl_socket& socket, std::span<std::byte> buffer) {
    for (;;) {
        sockaddr_nl sender{};
        iovec part{buffer.data(), buffer.size()};
        msghdr message{};
        message.msg_name = &sender;
        message.msg_namelen = sizeof sender;
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        const ssize_t length = ::recvmsg(mnl_socket_get_fd(&socket), &message, MSG_DONTWAIT);
        if (length < 0 && errno == EINTR) continue;
        if (length < 0 && errno == EAGAIN) return Datagram{};
        if ((length < 0 && errno == ENOBUFS) || (message.msg_flags & MSG_TRUNC) != 0)
            return Datagram{Datagram::Kind::lost, {}};
        if (length < 0) return Error::from_errno(errno, "reading from netlink");
        if (length == 0) return Error{FLOWD_ERROR, "netlink: the answer ended early"};
        const bool is_kernel = sender.nl_pid == 0;
        return Datagram{Datagram::Kind::messages, buffer.first(is_kernel ? static_cast<std::size_t>(length) : 0)};
    }
}

}  // namespace flowd::nl
