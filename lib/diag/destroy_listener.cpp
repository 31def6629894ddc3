// SPDX-License-Identifier: Apache-2.0
#include "lib/diag/destroy_listener.hpp"

#include <linux/sock_diag.h>
#include <netinet/in.h>

#include <utility>

namespace flowd::diag {

Result<DestroyListener> DestroyListener::open(bool udp, int receive_buffer) {
    std::uint32_t groups = nl::group_bit(SKNLGRP_INET_TCP_DESTROY) | nl::group_bit(SKNLGRP_INET6_TCP_DESTROY);
    if (udp) groups |= nl::group_bit(SKNLGRP_INET_UDP_DESTROY) | nl::group_bit(SKNLGRP_INET6_UDP_DESTROY);
    auto subscription = nl::Subscription::open(NETLINK_SOCK_DIAG, groups, {.receive_buffer = receive_buffer});
    if (!subscription)
        return std::move(subscription).error().within("asking sock_diag for notifications of closed sockets");
    return DestroyListener(*std::move(subscription));
}

Result<DestroyListener::Heard> DestroyListener::receive(std::size_t most, const Visitor& visitor) {
    auto heard = subscription_.receive(
        [&visitor](const nl::Message& message) {
            if (message.type() != SOCK_DIAG_BY_FAMILY) return;
            if (const auto closed = parse(message.payload(), IPPROTO_TCP)) visitor(*closed);
        },
        most);
    if (!heard) return std::move(heard).error().within("reading notifications of closed sockets");
    return heard;
}

}  // namespace flowd::diag
