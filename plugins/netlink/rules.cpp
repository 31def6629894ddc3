// SPDX-License-Identifier: Apache-2.0
#include "plugins/netlink/rules.hpp"

#include <pwd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "flowd/number.hpp"
#include "lib/netlink/interface.hpp"

namespace flowd::netlink {
namespace {

std::optional<std::uint16_t> port_of(std::string_view text) {
    const auto port = whole_number<std::uint16_t>(text);
    return port != 0 ? port : std::nullopt;
}

std::vector<PortRange> ranges_of(const std::vector<std::string>& texts) {
    std::vector<PortRange> ranges;
    for (const std::string& text : texts)
        if (const auto range = PortRange::parse(text)) ranges.push_back(*range);
    return ranges;
}

template <typename List, typename Test>
bool matches(const List& list, Test&& test) {
    return list.empty() || std::any_of(list.begin(), list.end(), std::forward<Test>(test));
}

enum class Match { no, yes, unknown };

Match both(Match a, Match b) {
    if (a == Match::no || b == Match::no) return Match::no;
    return a == Match::unknown || b == Match::unknown ? Match::unknown : Match::yes;
}

Match of(bool matched) {
    return matched ? Match::yes : Match::no;
}

Match match_interface(const Rule& rule, const Facts& facts, const Surroundings& now) {
    if (rule.interface.empty()) return Match::yes;
    const auto found = now.interfaces.find(rule.interface);
    if (found == now.interfaces.end()) return Match::no;
    const auto& [index, addresses] = found->second;
    if (facts.interface != 0) return of(facts.interface == index);
    return of(std::find(addresses.begin(), addresses.end(), facts.local.address) != addresses.end());
}

Match match_cgroup(const Rule& rule, const Facts& facts, const Surroundings& now) {
    if (rule.cgroup.empty()) return Match::yes;
    if (!facts.cgroup) return Match::unknown;
    const auto found = now.cgroups.find(*facts.cgroup);
    if (found == now.cgroups.end()) return Match::no;
    const std::string& path = found->second;
    const bool below = path.size() > rule.cgroup.size() && path.compare(0, rule.cgroup.size(), rule.cgroup) == 0 &&
                       path[rule.cgroup.size()] == '/';
    return of(path == rule.cgroup || below);
}

Match match(const Rule& rule, const Facts& facts, const Surroundings& now) {
    Match result =
        of(matches(rule.local_ports, [&](const PortRange& range) { return range.contains(facts.local.port); }) &&
           matches(rule.remote_ports, [&](const PortRange& range) { return range.contains(facts.remote.port); }) &&
           matches(rule.local_networks, [&](const Network& net) { return net.contains(facts.local.address); }) &&
           matches(rule.remote_networks, [&](const Network& net) { return net.contains(facts.remote.address); }));
    result = both(result, match_interface(rule, facts, now));
    if (rule.direction != Direction::any)
        result = both(result, facts.direction == Direction::any ? Match::unknown : of(facts.direction == rule.direction));
    if (rule.user) result = both(result, facts.user ? of(*facts.user == *rule.user) : Match::unknown);
    return both(result, match_cgroup(rule, facts, now));
}

}  // namespace

std::optional<PortRange> PortRange::parse(std::string_view text) {
    const auto dash = text.find('-');
    const auto low = port_of(text.substr(0, dash));
    const auto high = dash == std::string_view::npos ? low : port_of(text.substr(dash + 1));
    if (!low || !high || *low > *high) return std::nullopt;
    return PortRange{*low, *high};
}

const Table<RuleOptions>& RuleOptions::table() {
    using O = RuleOptions;
    static const Table<O> table{
        option("localPorts", &O::local_ports).doc("Local ports: \"1094\" or a range \"5000-5100\"."),
        option("remotePorts", &O::remote_ports).doc("Remote ports: \"443\" or a range \"5000-5100\"."),
        option("localNetworks", &O::local_networks).doc("Networks of the local address."),
        option("networks", &O::remote_networks).aliases({"remoteNetworks"}).doc("Networks of the remote address."),
        option("interface", &O::interface)
            .doc(
                "Interface, by its name or an alternative one, that has the local address or that the socket is bound to."),
        option("user", &O::user).doc("Owner of the socket, by name or number."),
        option("cgroup", &O::cgroup).path().doc("Control group (version 2) of the socket, including its descendants."),
        choice("direction", &O::direction,
               {{"any", Direction::any}, {"out", Direction::outgoing}, {"in", Direction::incoming}})
            .default_value("any")
            .doc("Which end connected: this host (out), the remote end (in), or either (any)."),
        option("ignore", &O::ignore).default_value(false).doc("Matching connections are not announced."),
        option("experiment", &O::experiment)
            .experiment()
            .aliases({"experimentId", "experimentID"})
            .doc("Experiment of matching connections, by id or by its name in the registry."),
        option("activity", &O::activity)
            .activity()
            .aliases({"activityId", "activityID"})
            .doc("Activity of matching connections, by id or by its name in the registry."),
    };
    return table;
}

void RuleOptions::validate(const RuleOptions& rule, const std::string& path, Problems& problems) {
    for (const auto& [name, ports] :
         {std::pair{"localPorts", &rule.local_ports}, std::pair{"remotePorts", &rule.remote_ports}})
        for (std::size_t i = 0; i < ports->size(); ++i)
            if (!PortRange::parse((*ports)[i]))
                problems.error(path + "." + name + "[" + std::to_string(i) + "]",
                               "'" + (*ports)[i] + "' is neither a port nor a range of ports",
                               "write a number of 1 to 65535, or two with a dash: 5000-5100");
    if (!rule.interface.empty())
        if (auto problem = nl::check_interface_name(rule.interface)) {
            problem->option = path + ".interface";
            problems.add(*problem);
        }
    if (!rule.user.empty() && !user_id(rule.user))
        problems.error(path + ".user", "this host has no user '" + rule.user + "'",
                       "write its number, if it will exist later");
    if (rule.ignore && (rule.experiment || rule.activity))
        problems.error(path, "ignores what matches and tags it as well", "remove ignore, or experiment and activity");
    if (!rule.ignore && (!rule.experiment || !rule.activity))
        problems.error(path, "has neither experiment and activity nor ignore", "write both ids, or ignore: true");
}

std::optional<std::uint32_t> user_id(const std::string& user) {
    if (const auto id = whole_number<std::uint32_t>(user)) return id;
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 16384> buffer{};
    if (::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
        return std::nullopt;
    return entry.pw_uid;
}

Rules::Rules(const std::vector<RuleOptions>& options, std::optional<flowd_tag> fallback) : fallback_(fallback) {
    for (const RuleOptions& option : options) {
        Rule rule;
        rule.local_ports = ranges_of(option.local_ports);
        rule.remote_ports = ranges_of(option.remote_ports);
        rule.local_networks = option.local_networks;
        rule.remote_networks = option.remote_networks;
        rule.interface = option.interface;
        if (!option.user.empty()) rule.user = user_id(option.user);
        rule.cgroup = option.cgroup;
        while (rule.cgroup.size() > 1 && rule.cgroup.back() == '/') rule.cgroup.pop_back();
        rule.direction = option.direction;
        if (!option.ignore) rule.tag = flowd_tag{option.experiment.value_or(0), option.activity.value_or(0)};
        rules_.push_back(std::move(rule));
    }
}

Decision Rules::decide(const Facts& facts, const Surroundings& now) const {
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        const int index = static_cast<int>(i);
        switch (match(rules_[i], facts, now)) {
            case Match::no:
                continue;
            case Match::unknown:
                return {Decision::Kind::undecided, {}, index};
            case Match::yes:
                if (!rules_[i].tag) return {Decision::Kind::ignored, {}, index};
                return {Decision::Kind::tagged, *rules_[i].tag, index};
        }
    }
    if (!fallback_) return {};
    return {Decision::Kind::tagged, *fallback_, -1};
}

}  // namespace flowd::netlink
