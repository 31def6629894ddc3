// SPDX-License-Identifier: Apache-2.0
// Rules that assign tags to connections. An ordered list: the first rule that matches decides. Values; immutable.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/module.hpp"

namespace flowd::netlink {

/// An inclusive range: "1094" or "5000-5100".
struct PortRange {
    std::uint16_t low = 0;
    std::uint16_t high = 0;
    [[nodiscard]] static std::optional<PortRange> parse(std::string_view text);
    [[nodiscard]] bool contains(std::uint16_t port) const { return port >= low && port <= high; }
};

/// Which end connected.
enum class Direction : std::uint8_t { any = 0, outgoing = 1, incoming = 2 };

/// One rule as configured. An empty member matches everything.
struct RuleOptions {
    std::vector<std::string> local_ports, remote_ports;
    std::vector<Network> local_networks, remote_networks;
    std::string interface, user, cgroup;
    Direction direction = Direction::any;
    bool ignore = false;
    std::optional<std::uint32_t> experiment, activity;
    static const Table<RuleOptions>& table();
    /// Reports problems below `path`, "rules[2]".
    static void validate(const RuleOptions& rule, const std::string& path, Problems& problems);
};

/// The known facts of a connection. An empty member is not known any more; it does not mean that there is none.
struct Facts {
    Endpoint local;
    Endpoint remote;
    Direction direction = Direction::any;  ///< any: unknown
    std::optional<std::uint32_t> user;
    std::optional<std::uint64_t> cgroup;
    std::uint32_t interface = 0;  ///< to which the socket is bound
};

/// A rule ready for matching: names looked up, texts parsed.
struct Rule {
    std::vector<PortRange> local_ports, remote_ports;
    std::vector<Network> local_networks, remote_networks;
    std::string interface;
    std::optional<std::uint32_t> user;
    std::string cgroup;
    Direction direction = Direction::any;
    std::optional<flowd_tag> tag;  ///< empty: ignore
};

/// The current values of the names that rules use.
struct Surroundings {
    struct Interface {
        std::uint32_t index = 0;
        std::vector<Address> addresses;
    };
    std::map<std::string, Interface> interfaces;
    std::map<std::uint64_t, std::string> cgroups;  ///< id of a group to the path in a rule, for it and its descendants
};

struct Decision {
    enum class Kind : std::uint8_t { none, tagged, ignored, undecided } kind = Kind::none;
    flowd_tag tag{};
    int rule = -1;  ///< index of the rule; -1: the default tag, or none
};

class Rules {
  public:
    /// `fallback`: the tag of connections that no rule matches; empty: they are not announced.
    Rules(const std::vector<RuleOptions>& options, std::optional<flowd_tag> fallback);

    /// Undecided: a rule that may match depends on a fact that is not known.
    [[nodiscard]] Decision decide(const Facts& facts, const Surroundings& now) const;

    [[nodiscard]] const std::vector<Rule>& list() const { return rules_; }
    [[nodiscard]] std::optional<flowd_tag> fallback() const { return fallback_; }

  private:
    std::vector<Rule> rules_;
    std::optional<flowd_tag> fallback_;
};

/// The id of a user, by name or number.
[[nodiscard]] std::optional<std::uint32_t> user_id(const std::string& user);

}  // namespace flowd::netlink
