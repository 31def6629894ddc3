// SPDX-License-Identifier: Apache-2.0
#include "lib/diag/destroy_listener.hpp"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace flowd::diag {
namespace {

constexpr std::size_t notification_size = 8 * 1024;  // one notification has some 400 bytes

constexpr std::uint32_t group_bit(unsigned group) {
    return 1u << (group - 1);
}

}  // namespace

DestroyListener::DestroyListener(UniqueFd fd) : fd_(std::move(fd)), buffer_(notification_size) {}

Result<DestroyListener> DestroyListener::open(bool udp, int receive_buffer) {
    UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG));
    if (!fd) return Error::from_errno(errno, "opening a sock_diag socket");
    if (receive_buffer > 0 && setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer) != 0)
        setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = group_bit(SKNLGRP_INET_TCP_DESTROY) | group_bit(SKNLGRP_INET6_TCP_DESTROY);
    if (udp) address.nl_groups |= group_bit(SKNLGRP_INET_UDP_DESTROY) | group_bit(SKNLGRP_INET6_UDP_DESTROY);
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return Error::from_errno(errno, "asking sock_diag for notifications of closed sockets");
    return DestroyListener(std::move(fd));
}

int DestroyListener::receive_buffer() const {
    int bytes = 0;
    socklen_t size = sizeof bytes;
    return getsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &bytes, &size) == 0 ? bytes / 2 : 0;  // socket(7): it is doubled
}

Result<DestroyListener::Heard> DestroyListener::receive(std::size_t most, const Visitor& visitor) {
    Heard heard;
    while (heard.count < most) {
        const ssize_t length = recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
        if (length < 0 && errno == EINTR) continue;
        if (length < 0 && errno == EAGAIN) return heard;
        if (length < 0 && errno == ENOBUFS) {  // told once; what is in the buffer can still be read
            heard.lost = true;
            continue;
        }
        if (length < 0) return Error::from_errno(errno, "reading notifications of closed sockets");
        auto left = static_cast<unsigned>(length);
        for (auto* header = reinterpret_cast<const nlmsghdr*>(buffer_.data()); NLMSG_OK(header, left);
             header = NLMSG_NEXT(header, left)) {
            if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY) continue;
            const auto* payload = static_cast<const std::byte*>(NLMSG_DATA(header));
            ++heard.count;
            if (const auto closed = parse({payload, header->nlmsg_len - NLMSG_HDRLEN}, IPPROTO_TCP)) visitor(*closed);
        }
    }
    heard.more = true;
    return heard;
}

}  // namespace flowd::diag
