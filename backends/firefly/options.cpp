// SPDX-License-Identifier: Apache-2.0
#include "backends/firefly/options.hpp"

namespace flowd::firefly_backend {

const Table<Stun>& Stun::table() {
    static const Table<Stun> table{
        option("manualMapping", &Stun::manual_mapping)
            .length(0, 4096)
            .doc("Address of this site as hosts know it: the public address to print instead."),
        option("stunServers", &Stun::servers)
            .length(0, 64)
            .doc("Not supported: no server is asked for this host's public address; use manualMapping."),
    };
    return table;
}

const Table<FireflyOptions>& FireflyOptions::table() {
    using O = FireflyOptions;
    static const Table<O> table{
        option("destinationPort", &O::destination_port)
            .range(1, 65535)
            .default_value(firefly_port)
            .doc("UDP port at a flow's destination that fireflies are sent to."),
        option("prependSyslog", &O::prepend_syslog)
            .default_value(true)
            .doc("Begins with an RFC 5424 header; the reference collector drops fireflies without it."),
        option("sendToDestination", &O::send_to_destination)
            .default_value(true)
            .doc("Sends to the destination of each flow that an application or administrator announced."),
        option("forwardToDestination", &O::forward_to_destination)
            .default_value(false)
            .doc("Also to the destination of flows that were learnt from a firefly or found by a meter."),
        option("sendToCollector", &O::send_to_collector).default_value(false).doc("Sends to the collector."),
        option("collectorAddress", &O::collector_address)
            .host()
            .default_value("127.0.0.1")
            .doc("Name or address of the collector; a name is asked for again every minute and after a failure."),
        option("collectorPort", &O::collector_port)
            .range(1, 65535)
            .default_value(firefly_port)
            .doc("UDP port of the collector."),
        option("enrich", &O::enrich)
            .default_value(false)
            .doc("Sends an ongoing firefly whenever an enricher has sampled a flow."),
        option("enrichmentMode", &O::enrichment_mode)
            .aliases({"enrichmentVerbosity"})
            .choices({"lean", "compatible", ""})
            .default_value("lean")
            .doc("How much an enriched firefly tells; every mode gives netlink.rtt, which is what the reference collector "
                 "keeps."),
        option("ongoing", &O::ongoing)
            .range(std::chrono::seconds(0), std::chrono::hours(24))
            .default_value("0s")
            .doc("Sends an ongoing firefly for every live flow this often; 0: never."),
        option("maxSize", &O::max_size)
            .byte_size()
            .range(firefly::least_max_size, 65507)
            .default_value(firefly::default_max_size)
            .doc("Longest datagram; optional parts that do not fit are left out and counted."),
        option("stun", &O::stun).doc("Public addresses of hosts behind NAT."),
    };
    return table;
}

void FireflyOptions::validate(const FireflyOptions& options, Problems& problems) {
    if (!options.send_to_destination && !options.send_to_collector)
        problems.warning({}, "sends to nobody: neither sendToDestination nor sendToCollector is on",
                         "set sendToCollector: true and collectorAddress");
    if (!options.send_to_collector && options.collector_address != "127.0.0.1")
        problems.warning("collectorAddress", "is not used, because sendToCollector is off", "set sendToCollector: true");
    if (options.forward_to_destination && !options.send_to_destination)
        problems.error("forwardToDestination", "contradicts sendToDestination: false", "remove one of the two");
    const auto collector = Address::parse(options.collector_address);
    if (options.send_to_collector && collector && (collector->is_unspecified() || collector->is_multicast()))
        problems.error("collectorAddress", "is no single host", "give the address or the name of the collector");
    if (options.send_to_collector && !options.prepend_syslog)
        problems.warning("prependSyslog", "the reference collector drops fireflies without a header",
                         "set prependSyslog: true");
    if (!options.stun.servers.empty())
        problems.warning("stun.stunServers", "is not supported: no server is asked for this host's public address",
                         "give the public address in stun.manualMapping, and remove stunServers");
    for (const auto& [local, global] : options.stun.manual_mapping) {
        const auto address = Address::parse(local);
        if (!address)
            problems.error("stun.manualMapping." + local, "is no address", "write LOCAL-ADDRESS: PUBLIC-ADDRESS");
        else if (address->is_v4() != global.is_v4())
            problems.error("stun.manualMapping." + local, "maps between IPv4 and IPv6",
                           "both addresses must be of one family");
        else if (global.is_unspecified() || global.is_multicast())
            problems.error("stun.manualMapping." + local, "does not map to the address of a host");
    }
}

}  // namespace flowd::firefly_backend
