// SPDX-License-Identifier: Apache-2.0
// Options of the netlink plugin.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flowd/module.hpp"
#include "plugins/netlink/rules.hpp"

namespace flowd::netlink {

struct PluginOptions {
    std::optional<std::uint32_t> experiment, activity;
    std::vector<RuleOptions> rules;
    std::vector<Network> internal_networks;
    bool ignore_private = true;
    bool announce_existing = true;
    bool udp = false;
    std::chrono::seconds period{5};
    std::uint32_t max_connections = 1'000'000;
    std::uint32_t receive_buffer = 8u << 20;
    bool early = true;
    std::string cgroup_path;
    static const Table<PluginOptions>& table();
    static void validate(const PluginOptions& options, Problems& problems);

    /// The tag of connections that no rule matches.
    [[nodiscard]] std::optional<flowd_tag> fallback() const {
        if (!experiment || !activity) return std::nullopt;
        return flowd_tag{*experiment, *activity};
    }
};

}  // namespace flowd::netlink
