// SPDX-License-Identifier: Apache-2.0
#include "plugins/netlink/candidates.hpp"

#include <netinet/in.h>

#include <algorithm>

#include "plugins/netlink/surroundings.hpp"

namespace flowd::netlink {

Candidates::Candidates(const PluginOptions& options) : left_alone_(options.internal_networks) {
    if (options.ignore_private) left_alone_.insert(left_alone_.end(), private_networks().begin(), private_networks().end());
}

Direction Candidates::direction_of(std::uint8_t protocol, const Endpoint& local) const {
    if (protocol != IPPROTO_TCP) return Direction::any;
    const auto [first, last] = listening_.equal_range(local.port);
    const bool listens = std::any_of(
        first, last, [&](const auto& entry) { return entry.second.is_unspecified() || entry.second == local.address; });
    return listens ? Direction::incoming : Direction::outgoing;
}

bool Candidates::is_own_address(const Address& address) const {
    return address.is_loopback() ||
           std::find(own_addresses_.begin(), own_addresses_.end(), address) != own_addresses_.end();
}

std::optional<Verdict> Candidates::exclusion(const Endpoint& remote, Direction direction) const {
    for (const Network& network : left_alone_)
        if (network.contains(remote.address)) return Verdict::internal;
    // Of a connection inside this host, the end that connected represents both.
    if (direction == Direction::incoming && is_own_address(remote.address)) return Verdict::inside;
    return std::nullopt;
}

std::string rule_name(const Decision& decision) {
    return decision.rule < 0 ? std::string() : "rules[" + std::to_string(decision.rule) + "]";
}

Verdict verdict_of(const Decision& decision) {
    switch (decision.kind) {
        case Decision::Kind::ignored:
            return Verdict::ignored;
        case Decision::Kind::undecided:
            return Verdict::undecided;
        default:
            return Verdict::no_rule;
    }
}

}  // namespace flowd::netlink
