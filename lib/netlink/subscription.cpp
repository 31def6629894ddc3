// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/subscription.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace flowd::nl {

Result<Subscription> Subscription::open(int bus, std::uint32_t groups, const SubscriptionOptions& options) {
    Handle handle(mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!handle) return Error::from_errno(errno, "opening a netlink socket");
    const int fd = mnl_socket_get_fd(handle.get());
    const int size = options.receive_buffer;
    if (size > 0 && ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (!options.filter.empty()) {  // before the first notification
        const sock_fprog program{static_cast<unsigned short>(options.filter.size()),
                                 const_cast<sock_filter*>(options.filter.data())};
        if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
            return Error::from_errno(errno, "filtering netlink notifications");
    }
    if (mnl_socket_bind(handle.get(), groups, MNL_SOCKET_AUTOPID) != 0)
        return Error::from_errno(errno, "subscribing to netlink notifications");
    return Subscription(std::move(handle));
}

int Subscription::receive_buffer() const {
    int bytes = 0;
    socklen_t size = sizeof bytes;
    return ::getsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &bytes, &size) == 0 ? bytes / 2 : 0;  // socket(7): it is doubled
}

Result<Subscription::Received> Subscription::receive(const Socket::Visitor& each, std::size_t most) {
    alignas(nlmsghdr) std::array<std::byte, 64 * 1024> buffer;
    Received received;
    while (received.count < most) {
        auto datagram = nl::receive(*handle_, buffer);
        if (!datagram) return std::move(datagram).error();
        if (datagram->kind == Datagram::Kind::none) return received;
        if (datagram->kind == Datagram::Kind::lost) received.lost = true;  // what is in the buffer can still be read
        for_each_message(datagram->bytes, [&](const Message& message) {
            ++received.count;
            each(message);
        });
    }
    received.more = true;
    return received;
}

bool Subscription::drain() {
    const auto received = receive([](const Message&) {});
    return received && (received->count > 0 || received->lost);
}

}  // namespace flowd::nl
