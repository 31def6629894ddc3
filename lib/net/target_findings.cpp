// SPDX-License-Identifier: Apache-2.0
#include "lib/net/target_findings.hpp"

#include <array>
#include <ctime>

#include "lib/net/zone.hpp"
#include "lib/text/summary.hpp"

namespace flowd::net {

void TargetFindings::add(std::vector<Finding>& all, const Target& target) const {
    const Target::Trouble kind = target.trouble_kind();
    if (kind == Target::Trouble::none) return;
    all.push_back(finding_of(kind, target.name(), target.trouble()));
    all.back().since_ns = target.trouble_since_ns();
}

void TargetFindings::add_host(std::vector<Finding>& all, const std::string& host, std::uint16_t port) const {
    const std::string name = Target::name_of(host, port);
    const auto literal = Address::parse(host);
    const auto addresses = literal ? Lookup::Answer(std::vector<Address>{*literal}) : resolve(host);
    if (!addresses) {
        all.push_back(finding_of(Target::Trouble::name, name, addresses.error().message));
        return;
    }
    const std::string_view zone = zone_of(host);
    std::string why = "no usable address";
    for (const Address& address : *addresses) {
        why = zone_trouble(address, zone);
        if (!why.empty()) continue;
        const auto socket = UdpSocket::connected({address, port}, interface_of(zone));
        if (socket) return;
        why = socket.error().message;
    }
    all.push_back(finding_of(Target::Trouble::route, name, why));
}

Finding TargetFindings::finding_of(Target::Trouble trouble, const std::string& target, const std::string& why) const {
    switch (trouble) {
        case Target::Trouble::name:
            return {FLOWD_LEVEL_WARNING,
                    unresolved,
                    target,
                    why,
                    "its name has an address",
                    "check the name and the resolver of this host: getent ahosts NAME"};
        case Target::Trouble::route:
            return {FLOWD_LEVEL_WARNING,
                    unroutable,
                    target,
                    why,
                    "this host has a route to it",
                    "add a route, or correct the address: ip route get ADDRESS"};
        case Target::Trouble::host:
            return {FLOWD_LEVEL_WARNING,
                    silent,
                    target,
                    "the host does not answer: " + why,
                    "the host is up",
                    "start it, or correct its address; see: ip neighbour"};
        default:
            return {FLOWD_LEVEL_WARNING,
                    unreachable,
                    target,
                    why,
                    "it takes datagrams",
                    "start the collector there, or correct its address and port"};
    }
}

std::string trouble_text(const Target& target) {
    const Target::Trouble kind = target.trouble_kind();
    const char* const doing = kind == Target::Trouble::peer    ? "refuses"
                              : kind == Target::Trouble::host  ? "silent"
                              : kind == Target::Trouble::route ? "no route"
                                                               : "resolving";
    const std::time_t now = std::time(nullptr);
    const std::time_t since = target.trouble_since_ns() / 1'000'000'000;
    constexpr std::time_t day = 86'400;
    std::tm broken{};
    std::array<char, 32> text{};
    ::gmtime_r(&since, &broken);
    (void)std::strftime(text.data(), text.size(), now / day == since / day ? "%H:%M UTC" : "%Y-%m-%d %H:%M UTC", &broken);
    return text::fitted(target.name(), std::string(": ") + doing + " since " + text.data());
}

}  // namespace flowd::net
