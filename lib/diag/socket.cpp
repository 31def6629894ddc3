// SPDX-License-Identifier: Apache-2.0
#include "lib/diag/socket.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

namespace flowd::diag {
namespace {

constexpr std::size_t dump_size = 64 * 1024;  // the kernel fills up to 32 KiB at a time

struct Request {
    nlmsghdr header;
    inet_diag_req_v2 body;
};

/// A dump that failed while it ran ends with the errno in its last message.
int error_at_end(const nlmsghdr& done) {
    int number = 0;
    if (done.nlmsg_len >= NLMSG_LENGTH(sizeof number)) std::memcpy(&number, NLMSG_DATA(&done), sizeof number);
    return number < 0 ? -number : 0;
}

}  // namespace

std::uint32_t connected_states() {
    return state_bit(TCP_ESTABLISHED) | state_bit(TCP_SYN_SENT) | state_bit(TCP_SYN_RECV) | state_bit(TCP_FIN_WAIT1) |
           state_bit(TCP_FIN_WAIT2) | state_bit(TCP_CLOSE_WAIT) | state_bit(TCP_LAST_ACK) | state_bit(TCP_CLOSING);
}

Socket::Socket(UniqueFd fd) : fd_(std::move(fd)), buffer_(dump_size) {}

Result<Socket> Socket::open() {
    UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!fd) return Error::from_errno(errno, "opening a sock_diag socket");
    const timeval patience{1, 0};  // the kernel answers at once or not at all
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return Socket(std::move(fd));
}

Result<void> Socket::ask(const DumpRequest& request, std::uint8_t family) {
    Request message{};
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.header.nlmsg_seq = ++sequence_;
    message.body.sdiag_family = family;
    message.body.sdiag_protocol = request.protocol;
    message.body.idiag_ext = request.extensions;
    message.body.idiag_states = request.states;
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    if (sendto(fd_.get(), &message, sizeof message, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0)
        return Error::from_errno(errno, "asking sock_diag for sockets");
    return {};
}

/// One datagram of the dump. True: there is more to come.
Result<bool> Socket::read(std::size_t length, std::uint8_t protocol, const Visitor& visitor) {
    auto left = static_cast<unsigned>(length);
    for (auto* header = reinterpret_cast<const nlmsghdr*>(buffer_.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
        if (header->nlmsg_seq != sequence_) continue;  // left over from a dump that was given up
        if (header->nlmsg_flags & NLM_F_DUMP_INTR)
            return Error{FLOWD_ERROR, "the list of sockets changed while sock_diag told it"};
        if (header->nlmsg_type == NLMSG_DONE) {
            if (const int number = error_at_end(*header)) {
                Error error = Error::from_errno(number, "sock_diag");
                if (number == ENOENT) error.hint = "the kernel lacks tcp_diag or udp_diag: modprobe tcp_diag";
                return error;
            }
            return false;
        }
        if (header->nlmsg_type == NLMSG_ERROR) {
            nlmsgerr error{};
            if (header->nlmsg_len < NLMSG_LENGTH(sizeof error)) return Error{FLOWD_ERROR, "sock_diag: short error"};
            std::memcpy(&error, NLMSG_DATA(header), sizeof error);
            return Error::from_errno(-error.error, "sock_diag");
        }
        if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || header->nlmsg_len < NLMSG_HDRLEN) continue;
        const auto* payload = static_cast<const std::byte*>(NLMSG_DATA(header));
        if (const auto connection = parse({payload, header->nlmsg_len - NLMSG_HDRLEN}, protocol)) visitor(*connection);
    }
    return true;
}

Result<void> Socket::dump(const DumpRequest& request, const Visitor& visitor) {
    for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
        if (auto asked = ask(request, family); !asked) return asked;
        for (bool more = true; more;) {
            const ssize_t length = recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC);
            if (length < 0 && errno == EINTR) continue;
            if (length < 0) return Error::from_errno(errno, "reading from sock_diag");
            if (static_cast<std::size_t>(length) > buffer_.size()) return Error{FLOWD_ERROR, "sock_diag: answer cut off"};
            auto state = read(static_cast<std::size_t>(length), request.protocol, visitor);
            if (!state) return std::move(state).error();
            more = *state;
        }
    }
    return {};
}

}  // namespace flowd::diag
