// SPDX-License-Identifier: Apache-2.0
#include "plugins/netlink/kernel_rules.hpp"

#include <algorithm>
#include <optional>

namespace flowd::netlink {
namespace {

constexpr std::size_t room = WATCH_MAX_RULES - 1;  // the last one is for WATCH_ASK

const std::vector<PortRange> any_port{{0, 65535}};
const std::vector<Network> any_network{{Address(Address::Bytes{}), 0}};

template <typename List>
const List& or_any(const List& list, const List& any) {
    return list.empty() ? any : list;
}

/// The id of the group, if it exists now.
std::optional<std::uint64_t> group_id(const std::string& path, const Surroundings& now) {
    for (const auto& [id, known] : now.cgroups)
        if (known == path) return id;
    return std::nullopt;
}

/// All members but ports and networks; empty if the rule cannot match now.
std::optional<watch_rule> base_of(const Rule& rule, const Surroundings& now) {
    watch_rule out = watch::any_connection();
    out.verdict = !rule.interface.empty() ? WATCH_ASK : rule.tag ? WATCH_TAG : WATCH_IGNORE;
    if (rule.tag) {
        out.experiment = rule.tag->experiment;
        out.activity = rule.tag->activity;
    }
    if (rule.user) {
        out.has_user = 1;
        out.user = *rule.user;
    }
    out.direction = static_cast<__u8>(rule.direction);
    if (rule.cgroup.empty()) return out;
    const auto group = group_id(rule.cgroup, now);
    if (!group) return std::nullopt;
    out.cgroup = *group;
    return out;
}

/// One entry per combination. False if there is no room.
bool expand(const Rule& rule, const watch_rule& base, std::vector<watch_rule>& out) {
    for (const PortRange& local : or_any(rule.local_ports, any_port))
        for (const PortRange& remote : or_any(rule.remote_ports, any_port))
            for (const Network& here : or_any(rule.local_networks, any_network))
                for (const Network& there : or_any(rule.remote_networks, any_network)) {
                    if (out.size() >= room) return false;
                    watch_rule& one = out.emplace_back(base);
                    one.local_low = local.low;
                    one.local_high = local.high;
                    one.remote_low = remote.low;
                    one.remote_high = remote.high;
                    watch::put_network(here, one.local_network, one.local_mask);
                    watch::put_network(there, one.remote_network, one.remote_mask);
                }
    return true;
}

}  // namespace

static_assert(static_cast<int>(Direction::outgoing) == WATCH_OUTGOING &&
              static_cast<int>(Direction::incoming) == WATCH_INCOMING);

std::vector<watch_rule> for_kernel(const Rules& rules, const Surroundings& now, std::span<const Network> left_alone) {
    std::vector<watch_rule> out;
    watch_rule question = watch::any_connection();
    question.verdict = WATCH_ASK;
    const auto ask_for_the_rest = [&] {
        out.push_back(question);
        return out;
    };
    Rule ignored;
    for (const Network& network : left_alone) {
        ignored.remote_networks = {network};
        if (!expand(ignored, base_of(ignored, now).value(), out)) return ask_for_the_rest();
    }
    for (const Rule& rule : rules.list()) {
        const auto base = base_of(rule, now);
        if (base && !expand(rule, *base, out)) return ask_for_the_rest();
    }
    if (!rules.fallback()) return out;
    Rule fallback;
    fallback.tag = rules.fallback();
    (void)expand(fallback, base_of(fallback, now).value(), out);
    return out;
}

}  // namespace flowd::netlink
