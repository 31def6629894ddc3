// SPDX-License-Identifier: Apache-2.0
#include "lib/net/own_sockets.hpp"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace flowd::net {

void visit_interfaces(const std::function<void(const char*, const std::optional<Address>&)>& visit) {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return;
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
    for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
        const auto endpoint = Endpoint::from(one->ifa_addr);
        visit(one->ifa_name, endpoint ? std::optional(endpoint->address) : std::nullopt);
    }
}

std::vector<Address> own_addresses() {
    std::vector<Address> addresses;
    visit_interfaces([&](const char*, const std::optional<Address>& address) {
        if (address) addresses.push_back(*address);
    });
    return addresses;
}

void OwnSockets::refresh(std::chrono::nanoseconds max_age) {
    cookies_.clear();
    listeners_.clear();
    receivers_.clear();
    const auto done = host_.descriptors().sockets(max_age, [this](const flowd_socket& socket) {
        if (socket.cookie != 0) cookies_.insert(socket.cookie);
        const Endpoint local{Address(socket.local), socket.local_port};
        if ((socket.flags & FLOWD_SOCKET_LISTENS) != 0) listeners_.push_back(local);
        if (socket.protocol == IPPROTO_UDP && local.port != 0 && socket.remote_port == 0) receivers_.push_back(local);
    });
    if (!done && !std::exchange(warned_, true))
        host_.warning("the daemon's own traffic cannot be distinguished from other traffic: " + done.error().message);
}

bool OwnSockets::listens_on(const Endpoint& local) const {
    return std::any_of(listeners_.begin(), listeners_.end(), [&](const Endpoint& listener) {
        if (listener.port != local.port) return false;
        if (listener.address == local.address) return true;
        // "::" may accept IPv4 as well, 0.0.0.0 never accepts IPv6.
        return listener.address.is_unspecified() && (!listener.address.is_v4() || local.address.is_v4());
    });
}

bool OwnReceivers::includes(const Endpoint& endpoint, Clock::time_point now) {
    if (read_ == Clock::time_point{} || now - read_ > age) {
        sockets_.refresh();
        addresses_ = own_addresses();
        read_ = now;
    }
    const auto& receivers = sockets_.receivers();
    return std::any_of(receivers.begin(), receivers.end(), [&](const Endpoint& own) {
        if (own.port != endpoint.port) return false;
        if (!own.address.is_unspecified()) return own.address == endpoint.address;
        if (own.address.is_v4() && !endpoint.address.is_v4()) return false;
        return endpoint.address.is_loopback() || endpoint.address.is_unspecified() ||
               std::find(addresses_.begin(), addresses_.end(), endpoint.address) != addresses_.end();
    });
}

}  // namespace flowd::net
