// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/options.hpp"

#include <algorithm>

namespace flowd::metrics {

namespace {

constexpr std::uint16_t flowd_go_netlink_port = 8080;
constexpr std::uint16_t flowd_go_skops_port = 8081;

}  // namespace

std::vector<Listener> Options::listeners() const {
    std::vector<Listener> all;
    const auto add = [&](std::uint16_t number, const char* option, const char* flavour) {
        if (number == 0) return;
        all.push_back({{bind_address, number}, {.flavour = flavour, .daemon = all.empty()}, option});
    };
    const std::uint16_t one = port.value_or(0);
    add(one, "port", "");
    add(netlink_port.value_or(one != 0 ? 0 : flowd_go_netlink_port), "netlinkPort", "netlink");
    add(skops_port.value_or(one != 0 ? 0 : flowd_go_skops_port), "skopsPort", "skops");
    return all;
}

const Table<Options>& Options::table() {
    using O = Options;
    using Entrance = http::EntranceRows<O>;
    static const Table<O> table{
        Entrance::bind_address(),
        option("port", &O::port)
            .range(0, 65535)
            .doc("TCP port that exports everything at /metrics; if it is set, the other two ports are disabled unless they "
                 "are set, too."),
        option("netlinkPort", &O::netlink_port)
            .range(0, 65535)
            .doc("TCP port with the flows sampled by the netlink enricher; default 8080 without port; 0 disables it."),
        option("skopsPort", &O::skops_port)
            .range(0, 65535)
            .doc("TCP port with the flows sampled by the skops enricher; default 8081 without port; 0 disables it."),
        Entrance::token(),
        option("perFlow", &O::per_flow).default_value(true).doc("Export TCP metrics of each sampled flow."),
        option("maxFlows", &O::max_flows)
            .range(0, 100'000)
            .default_value(1000)
            .doc("Maximum number of exported flows; those with the most bytes are chosen."),
        option("names", &O::names)
            .default_value(false)
            .doc("Label experiments and activities by their registry names instead of their numbers."),
        option("log", &O::log).default_value(true).doc("Log the listening addresses."),
        Entrance::max_connections(64),
        Entrance::request_timeout(),
        Entrance::idle_timeout(),
    };
    return table;
}

void Options::validate(const Options& options, Problems& problems) {
    const auto all = options.listeners();
    if (all.empty()) problems.error("port", "all ports are 0, so there is no port to listen at", "write a port");
    for (std::size_t i = 0; i < all.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (all[i].endpoint.port == all[j].endpoint.port)
                problems.error(all[i].option, std::string("is the port of ") + all[j].option + " as well",
                               "give each a different port, or set only port");
    options.EntranceOptions::validate("see the flows of this host", problems);
    if (!options.per_flow && options.max_flows != 1000)
        problems.warning("maxFlows", "has no effect without perFlow", "remove the line");
}

}  // namespace flowd::metrics
