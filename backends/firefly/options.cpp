// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/options.hpp"

#include <algorithm>

#include "flowd/number.hpp"
#include "lib/net/target.hpp"
#include "lib/net/zone.hpp"

namespace flowd::firefly_backend {
namespace {

void validate_collector(const Collector& collector, const std::string& path, bool prepend_syslog, Problems& problems) {
    net::validate_host(collector.address, path, problems);
    if (!collector.prepend_syslog.value_or(prepend_syslog))
        problems.warning(path == "collectorAddress" ? "prependSyslog" : path,
                         "the reference collector drops fireflies without a header", "set prependSyslog: true");
}

void validate_mapping(const Stun& stun, Problems& problems) {
    for (const auto& [local, global] : stun.manual_mapping) {
        const auto address = Address::parse(local);
        if (!address)
            problems.error("stun.manualMapping." + local, "is not an address", "write LOCAL-ADDRESS: PUBLIC-ADDRESS");
        else if (address->is_v4() != global.is_v4())
            problems.error("stun.manualMapping." + local, "maps between IPv4 and IPv6",
                           "both addresses must be of one family");
        else if (global.is_unspecified() || global.is_multicast())
            problems.error("stun.manualMapping." + local, "does not map to the address of a host");
    }
}

void validate_servers(const Stun& stun, Problems& problems) {
    std::vector<StunServer> known;
    for (std::size_t i = 0; i < stun.servers.size(); ++i) {
        const std::string path = "stun.stunServers[" + std::to_string(i) + "]";
        const auto server = StunServer::parse(stun.servers[i]);
        if (!server) {
            problems.error(path, "is not a server: '" + stun.servers[i] + "'", "write NAME:PORT or IPV4-ADDRESS:PORT");
            continue;
        }
        const auto address = Address::parse(server->host);
        if (address && (address->is_unspecified() || address->is_multicast()))
            problems.error(path, "is not a unicast address", "give the address or the name of the server");
        if (std::find(known.begin(), known.end(), *server) != known.end())
            problems.warning(path, "is listed twice", "remove one of the two");
        known.push_back(*server);
    }
}

/// Follows the core's rules for host names. A text of digits and dots only is a mistyped address.
[[nodiscard]] bool is_name(std::string_view text) {
    constexpr std::string_view digits = "0123456789.";
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    return !text.empty() && text.size() <= 253 && text.front() != '.' && text.front() != '-' &&
           text.find("..") == std::string_view::npos && text.find_first_not_of(digits) != std::string_view::npos &&
           std::all_of(text.begin(), text.end(), [&](char c) {
               return digits.find(c) != std::string_view::npos || letters.find(c) != std::string_view::npos;
           });
}

}  // namespace

std::optional<StunServer> StunServer::parse(std::string_view text) {
    const auto colon = text.find(':');
    StunServer server{std::string(text.substr(0, colon))};
    if (colon != std::string_view::npos) {
        server.port = whole_number<std::uint16_t>(text.substr(colon + 1)).value_or(0);
        if (server.port == 0) return std::nullopt;
    }
    if (!Address::parse(server.host) && !is_name(server.host)) return std::nullopt;
    return server;
}

std::vector<StunServer> Stun::all_servers() const {
    std::vector<StunServer> all;
    for (const std::string& text : servers)
        if (const auto server = StunServer::parse(text)) all.push_back(*server);
    return all;
}

const Table<Privacy>& Privacy::table() {
    static const Table<Privacy> table{
        option("omitApplication", &Privacy::omit_application)
            .default_value(false)
            .doc("The application is not sent, nor what other programs have added to a firefly."),
        option("truncateAddresses", &Privacy::truncate_addresses)
            .default_value(false)
            .doc("Only the network of each address is sent: /64, IPv4 /24; and not what other programs have added."),
        option("onlyRegisteredTags", &Privacy::only_registered_tags)
            .default_value(false)
            .doc("Only flows whose tag is in the registry are sent."),
    };
    return table;
}

const Table<Collector>& Collector::table() {
    static const Table<Collector> table{
        option("address", &Collector::address).host().required().doc("Name or address of the collector."),
        option("port", &Collector::port).range(1, 65535).default_value(firefly_port).doc("UDP port of the collector."),
        option("prependSyslog", &Collector::prepend_syslog).doc("Overrides the option of the backend for this collector."),
        option("maxSize", &Collector::max_size)
            .byte_size()
            .range(firefly::least_max_size, 65507)
            .doc("Overrides the option of the backend for this collector."),
        option("privacy", &Collector::privacy)
            .doc("What this collector is not told, in addition to privacy of the backend."),
    };
    return table;
}

const Table<Stun>& Stun::table() {
    static const Table<Stun> table{
        option("manualMapping", &Stun::manual_mapping)
            .length(0, 4096)
            .doc("Local address of a host, and the public address that replaces it in fireflies."),
        option("stunServers", &Stun::servers)
            .length(0, 64)
            .doc("STUN servers, as NAME:PORT, that are queried in this order for this host's public IPv4 address; none: no "
                 "query."),
    };
    return table;
}

const Table<FireflyOptions>& FireflyOptions::table() {
    using O = FireflyOptions;
    static const Table<O> table{
        option("destinationPort", &O::destination_port)
            .range(1, 65535)
            .default_value(firefly_port)
            .doc("UDP port at the destinations of flows."),
        option("prependSyslog", &O::prepend_syslog)
            .default_value(true)
            .doc("Adds an RFC 5424 header; the reference collector drops fireflies without it."),
        option("sendToDestination", &O::send_to_destination)
            .default_value(true)
            .doc("Sends to the destination of each flow that an application or administrator announced."),
        option("forwardToDestination", &O::forward_to_destination)
            .default_value(false)
            .doc("Also sends to the destinations of flows that were learnt from a firefly or found by a meter."),
        option("sendToCollector", &O::send_to_collector).default_value(false).doc("Sends to the collector."),
        option("collectorAddress", &O::collector_address)
            .host()
            .default_value("127.0.0.1")
            .doc("Name or address of the collector; a name is resolved again every minute and after a failure."),
        option("collectorPort", &O::collector_port)
            .range(1, 65535)
            .default_value(firefly_port)
            .doc("UDP port of the collector."),
        option("collectors", &O::collectors)
            .length(0, 64)
            .doc("Collectors in addition to collectorAddress; each receives every firefly."),
        option("resolveInterval", &O::resolve_interval)
            .range(std::chrono::seconds(1), std::chrono::hours(24))
            .default_value("60s")
            .doc("How often the names of collectors are resolved again; the name of a collector that refuses is resolved "
                 "at once."),
        option("enrich", &O::enrich)
            .default_value(false)
            .doc("Sends an ongoing firefly whenever an enricher has sampled a flow."),
        choice("enrichmentMode", &O::enrichment_mode,
               {{"lean", firefly::Verbosity::lean},
                {"compatible", firefly::Verbosity::compatible},
                {"", firefly::Verbosity::full}})
            .aliases({"enrichmentVerbosity"})
            .default_value("lean")
            .doc("Content of an enriched firefly: a dozen values (lean), flowd's form (compatible), or all values of the "
                 "kernel (\"\")."),
        option("ongoing", &O::ongoing)
            .range(std::chrono::seconds(0), std::chrono::hours(24))
            .default_value("0s")
            .doc("Period of an ongoing firefly for every live flow; 0: never."),
        option("maxSize", &O::max_size)
            .byte_size()
            .range(firefly::least_max_size, 65507)
            .default_value(firefly::default_max_size)
            .doc("Maximum size of a datagram; optional members that do not fit are left out and counted."),
        option("privacy", &O::privacy).doc("What collectors are not told; destinations of flows are told everything."),
        option("dryRun", &O::dry_run)
            .default_value(false)
            .doc("Sends nothing at all; `flowd-cpp firefly preview` shows what would be sent."),
        option("stun", &O::stun).doc("Public addresses of hosts behind NAT."),
    };
    return table;
}

std::vector<Collector> FireflyOptions::all_collectors() const {
    std::vector<Collector> all;
    if (send_to_collector) all.push_back({collector_address, collector_port, std::nullopt, std::nullopt, {}});
    all.insert(all.end(), collectors.begin(), collectors.end());
    for (Collector& one : all) {
        one.privacy.omit_application = one.privacy.omit_application || privacy.omit_application;
        one.privacy.truncate_addresses = one.privacy.truncate_addresses || privacy.truncate_addresses;
        one.privacy.only_registered_tags = one.privacy.only_registered_tags || privacy.only_registered_tags;
    }
    return all;
}

void FireflyOptions::validate(const FireflyOptions& options, Problems& problems) {
    const std::vector<Collector> all = options.all_collectors();
    if (!options.send_to_destination && all.empty())
        problems.warning({}, "has no receiver: no collector is configured, and sendToDestination is off",
                         "set sendToCollector: true and collectorAddress, or list collectors");
    if (!options.send_to_collector && options.collector_address != "127.0.0.1")
        problems.warning("collectorAddress", "is not used, because sendToCollector is off", "set sendToCollector: true");
    if (options.forward_to_destination && !options.send_to_destination)
        problems.error("forwardToDestination", "contradicts sendToDestination: false", "remove one of the two");
    for (std::size_t i = 0; i < all.size(); ++i) {
        const bool single = i == 0 && options.send_to_collector;
        const std::string path =
            single ? "collectorAddress" : "collectors[" + std::to_string(i - (options.send_to_collector ? 1 : 0)) + "]";
        validate_collector(all[i], path, options.prepend_syslog, problems);
        const bool repeated =
            std::any_of(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(i), [&](const auto& other) {
                return net::Target::name_of(other.address, other.port) == net::Target::name_of(all[i].address, all[i].port);
            });
        if (repeated)
            problems.error(path, "is listed twice: it would receive every firefly twice", "remove one of the two");
    }
    validate_mapping(options.stun, problems);
    validate_servers(options.stun, problems);
}

}  // namespace flowd::firefly_backend
