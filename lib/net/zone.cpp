// SPDX-License-Identifier: Apache-2.0
#include "lib/net/zone.hpp"

#include <net/if.h>

#include <array>

#include "flowd/number.hpp"
#include "lib/netlink/interface.hpp"

namespace flowd::net {
std::string_view zone_of(std::string_view host) {
    if (!Address::parse(host)) return {};
    if (host.front() == '[') host = host.substr(1, host.size() - 2);
    const auto zone = host.find('%');
    return zone == std::string_view::npos ? std::string_view() : host.substr(zone + 1);
}

std::uint32_t interface_of(std::string_view zone) {
    if (!nl::is_interface_name(zone)) return 0;
    if (const std::uint32_t named = nl::interface_index(std::string(zone))) return named;
    const std::uint32_t index = whole_number<std::uint32_t>(zone).value_or(0);
    std::array<char, IFNAMSIZ> name{};
    return ::if_indextoname(index, name.data()) != nullptr ? index : 0;
}

std::string zone_trouble(const Address& address, std::string_view zone) {
    if (!zone.empty()) return interface_of(zone) == 0 ? "there is no interface '" + std::string(zone) + "'" : std::string();
    if (address.is_v4() || !address.is_link_local()) return {};
    return address.to_string() + " is link-local: name the interface, " + address.to_string() + "%eth0";
}

void validate_host(const std::string& host, const std::string& path, Problems& problems) {
    const auto address = Address::parse(host);
    if (!address) return;  // a name
    const std::string zone(zone_of(host));
    const std::string bare = address->to_string();
    if (address->is_unspecified() || address->is_multicast())
        problems.error(path, "'" + host + "' is not the address of a single host", "write its name or its address");
    else if (address->is_v4() || !address->is_link_local()) {
        if (!zone.empty())
            problems.error(path, "only link-local addresses have a zone, '" + host + "' is none", "write " + bare);
    } else if (zone.empty())
        problems.error(path, bare + " is link-local and needs the interface that it is reached through",
                       "write " + bare + "%INTERFACE, for example " + bare + "%eth0");
    else if (const auto problem = nl::check_interface_name(zone))
        problems.error(path, "'" + zone + "' " + problem->message, problem->hint);
    else if (interface_of(zone) == 0)
        problems.warning(path, "there is no interface '" + zone + "' now; nothing is sent until there is one",
                         "see: ip link");
}

}  // namespace flowd::net
