// SPDX-License-Identifier: Apache-2.0
#include "lib/net/own_receivers.hpp"

#include <ifaddrs.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

namespace flowd::net {
namespace {

[[nodiscard]] std::optional<Endpoint> receives_at(int fd) {
    int type = 0;
    socklen_t length = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_DGRAM) return std::nullopt;
    sockaddr_storage storage{};
    length = sizeof storage;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) == 0) return std::nullopt;
    length = sizeof storage;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return std::nullopt;
    const auto endpoint = Endpoint::from(storage);
    return endpoint && endpoint->port != 0 ? endpoint : std::nullopt;
}

}  // namespace

std::vector<Address> own_addresses() {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return {};
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
    std::vector<Address> addresses;
    for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
        if (one->ifa_addr == nullptr) continue;
        sockaddr_storage storage{};
        const int family = one->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6) continue;
        std::copy_n(reinterpret_cast<const char*>(one->ifa_addr),
                    family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6), reinterpret_cast<char*>(&storage));
        if (const auto endpoint = Endpoint::from(storage)) addresses.push_back(endpoint->address);
    }
    return addresses;
}

std::vector<Endpoint> own_udp_endpoints() {
    std::vector<Endpoint> endpoints;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
        const std::string name = entry.path().filename().string();
        int fd = -1;
        if (std::from_chars(name.data(), name.data() + name.size(), fd).ec != std::errc()) continue;
        if (const auto endpoint = receives_at(fd)) endpoints.push_back(*endpoint);
    }
    return endpoints;
}

bool OwnReceivers::includes(const Endpoint& endpoint, Clock::time_point now) {
    if (read_ == Clock::time_point{} || now - read_ > age) {
        endpoints_ = own_udp_endpoints();
        addresses_ = own_addresses();
        read_ = now;
    }
    return std::any_of(endpoints_.begin(), endpoints_.end(), [&](const Endpoint& own) {
        if (own.port != endpoint.port) return false;
        if (!own.address.is_unspecified()) return own.address == endpoint.address;
        if (own.address.is_v4() && !endpoint.address.is_v4()) return false;
        return endpoint.address.is_loopback() || endpoint.address.is_unspecified() ||
               std::find(addresses_.begin(), addresses_.end(), endpoint.address) != addresses_.end();
    });
}

}  // namespace flowd::net
