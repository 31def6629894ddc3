// SPDX-License-Identifier: Apache-2.0
#include "lib/net/netlink_dump.hpp"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace flowd::net {
namespace {

constexpr std::size_t buffer_size = 64 * 1024;  // the kernel fills up to 32 KiB at a time
constexpr int attempts = 8;

enum class State { more, done };

/// A dump that failed while it ran ends with the errno in its last message.
int error_at_end(const nlmsghdr& message, std::size_t size) {
    int number = 0;
    if (size >= NLMSG_HDRLEN + sizeof number)
        std::memcpy(&number, reinterpret_cast<const std::byte*>(&message) + NLMSG_HDRLEN, sizeof number);
    return number < 0 ? -number : 0;
}

Result<State> read(const std::vector<std::byte>& buffer, std::size_t length, std::uint32_t sequence,
                   const NetlinkVisitor& each, bool& is_interrupted) {
    auto left = static_cast<unsigned>(length);
    for (auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
        if (header->nlmsg_seq != sequence) continue;  // left over from a dump that was given up
        const auto* const body = reinterpret_cast<const std::byte*>(header) + NLMSG_HDRLEN;
        const std::size_t size = header->nlmsg_len - NLMSG_HDRLEN;
        if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0) is_interrupted = true;
        if (header->nlmsg_type == NLMSG_DONE) {
            if (const int number = error_at_end(*header, header->nlmsg_len)) return Error::from_errno(number, "netlink");
            return State::done;
        }
        if (header->nlmsg_type == NLMSG_ERROR) {
            nlmsgerr error{};
            if (size < sizeof error) return Error{FLOWD_ERROR, "netlink: short error"};
            std::memcpy(&error, body, sizeof error);
            return Error::from_errno(-error.error, "netlink");
        }
        if (header->nlmsg_type >= NLMSG_MIN_TYPE) each(*header, body, size);
    }
    return State::more;
}

/// False: the list changed meanwhile.
Result<bool> dump_once(int fd, const nlmsghdr& request, std::vector<std::byte>& buffer, const NetlinkVisitor& each) {
    if (::send(fd, &request, request.nlmsg_len, 0) < 0) return Error::from_errno(errno, "asking netlink");
    for (bool is_interrupted = false;;) {
        const ssize_t length = ::recv(fd, buffer.data(), buffer.size(), MSG_TRUNC);
        if (length < 0 && errno == EINTR) continue;
        if (length < 0 && errno == ENOBUFS) {
            is_interrupted = true;
            continue;
        }
        if (length < 0) return Error::from_errno(errno, "reading netlink");
        if (length == 0) return Error{FLOWD_ERROR, "netlink: the answer ended early"};
        if (static_cast<std::size_t>(length) > buffer.size()) return Error{FLOWD_ERROR, "netlink: answer cut off"};
        auto state = read(buffer, static_cast<std::size_t>(length), request.nlmsg_seq, each, is_interrupted);
        if (!state) return std::move(state).error();
        if (*state == State::done) return !is_interrupted;
    }
}

}  // namespace

Result<void> netlink_dump(int fd, nlmsghdr& request, const NetlinkVisitor& each, const std::function<void()>& restart) {
    std::vector<std::byte> buffer(buffer_size);
    request.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    for (int attempt = 0; attempt < attempts; ++attempt) {
        if (attempt > 0 && restart) restart();
        ++request.nlmsg_seq;
        auto complete = dump_once(fd, request, buffer, each);
        if (!complete) return std::move(complete).error();
        if (*complete) return {};
    }
    return Error{FLOWD_ERROR, "the list changed each of " + std::to_string(attempts) + " times that the kernel told it"};
}

void limit_waiting(int fd) {
    const timeval patience{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

}  // namespace flowd::net
