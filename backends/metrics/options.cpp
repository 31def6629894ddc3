// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/options.hpp"

#include <algorithm>

namespace flowd::metrics {

using namespace std::chrono_literals;

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
    static const Table<O> table{
        option("bindAddress", &O::bind_address)
            .default_value("127.0.0.1")
            .doc("Address to listen at; beyond loopback a tokenFile is required."),
        option("port", &O::port)
            .range(0, 65535)
            .doc("TCP port that has everything at /metrics; with it the two others are off unless they are written."),
        option("netlinkPort", &O::netlink_port)
            .range(0, 65535)
            .doc("TCP port for flows as the netlink enricher samples them; 8080 without port, 0 is off."),
        option("skopsPort", &O::skops_port)
            .range(0, 65535)
            .doc("TCP port for flows as the skops enricher samples them; 8081 without port, 0 is off."),
        option("tokenFile", &O::token_file)
            .doc("File with the token that every request has to carry; read again when it changes."),
        option("perFlow", &O::per_flow).default_value(true).doc("Show TCP figures of each flow that enrichers sample."),
        option("maxFlows", &O::max_flows)
            .range(0, 100'000)
            .default_value(1000)
            .doc("Flows shown one by one; those that moved the most bytes come first."),
        option("names", &O::names)
            .default_value(false)
            .doc("Name experiments and activities as the registry does, instead of by number."),
        option("log", &O::log).default_value(true).doc("Log where it listens."),
        option("maxConnections", &O::max_connections)
            .range(1, 65535)
            .default_value(64)
            .doc("Connections at a time and port; further ones are answered 503."),
        option("requestTimeout", &O::request_timeout)
            .range(1s, 10min)
            .default_value("10s")
            .doc("Time for a request to arrive as a whole."),
        option("idleTimeout", &O::idle_timeout)
            .range(1s, 1h)
            .default_value("60s")
            .doc("Time between two requests of a connection, and for taking an answer."),
    };
    return table;
}

void Options::validate(const Options& options, Problems& problems) {
    const auto all = options.listeners();
    if (all.empty()) problems.error("port", "0 everywhere leaves nothing to listen at", "write a port");
    for (std::size_t i = 0; i < all.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (all[i].endpoint.port == all[j].endpoint.port)
                problems.error(all[i].option, std::string("is the port of ") + all[j].option + " as well",
                               "give each a port of its own, or write port alone");
    if (options.bind_address.is_multicast())
        problems.error("bindAddress", "a multicast address cannot be listened at",
                       "use an address of this host, or \"::\"");
    if (!options.bind_address.is_loopback() && !options.token_file)
        problems.error("tokenFile",
                       "is required: " + options.bind_address.to_string() +
                           " is not loopback, so others could see the flows of this host",
                       "make one: openssl rand -hex 32 > /etc/flowd-cpp/token; chmod 0640 /etc/flowd-cpp/token");
    if (!options.per_flow && options.max_flows != 1000)
        problems.warning("maxFlows", "has no effect without perFlow", "remove the line");
}

}  // namespace flowd::metrics
