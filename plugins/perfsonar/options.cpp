// SPDX-License-Identifier: Apache-2.0
#include "plugins/perfsonar/options.hpp"

#include <algorithm>

#include "flowd/label.hpp"
#include "lib/bpf/interfaces.hpp"

namespace flowd::perfsonar {

using namespace std::chrono_literals;

const Table<Exclude>& Exclude::table() {
    static const Table<Exclude> table{
        option("networks", &Exclude::networks)
            .length(0, 256)
            .doc("Networks whose flows are not announced; they are still marked with the catch-all tag."),
        option("ports", &Exclude::ports)
            .range(1, 65535)
            .length(0, 256)
            .doc("Ports, at either end, whose flows are not announced; they are still marked with the catch-all tag."),
    };
    return table;
}

bool Exclude::includes(const flowd_key& key) const {
    const Endpoint source = source_of(key);
    const Endpoint destination = destination_of(key);
    return std::any_of(ports.begin(), ports.end(),
                       [&](std::uint16_t port) { return port == source.port || port == destination.port; }) ||
           std::any_of(networks.begin(), networks.end(), [&](const Network& network) {
               return network.contains(source.address) || network.contains(destination.address);
           });
}

const Table<PerfsonarOptions>& PerfsonarOptions::table() {
    using O = PerfsonarOptions;
    // The range of the tag is that of a flow label: a tag that does not fit must be refused here, never truncated silently.
    static const Table<O> table{
        option("experimentId", &O::experiment)
            .experiment()
            .range(0, label::max_experiment)
            .aliases({"experimentID", "experiment"})
            .required()
            .doc("Experiment of the traffic, by id or by its name in the registry."),
        option("activityId", &O::activity)
            .activity()
            .range(0, label::max_activity)
            .aliases({"activityID", "activity"})
            .required()
            .doc("Activity of the traffic, by id or by its name in the registry."),
        option("flows", &O::flows)
            .default_value(true)
            .doc("Announces every TCP and UDP flow that leaves the interfaces; false: only provides the catch-all tag."),
        option("interfaces", &O::interfaces)
            .default_value("[]")
            .doc("Interfaces to meter on. Empty: those of the default routes, and those on which a backend marks; changes "
                 "are followed."),
        option("waitForInterfaces", &O::wait_for_interfaces)
            .default_value(false)
            .doc("Start even if none of the named interfaces exists yet."),
        option("idleTimeout", &O::idle_timeout)
            .range(1s, 24h)
            .default_value("60s")
            .doc("A UDP flow that is idle for this long has ended."),
        option("tcpIdleTimeout", &O::tcp_idle_timeout)
            .range(1s, 168h)
            .default_value("10min")
            .doc("A TCP flow that is idle for this long has ended, even if it was not closed."),
        option("ongoing", &O::ongoing)
            .range(0s, 24h)
            .default_value("0s")
            .doc("Period of an ongoing event for every live flow, with its usage so far; 0: never."),
        option("minBytes", &O::min_bytes)
            .byte_size()
            .default_value(0)
            .doc("A flow is announced once it has carried this much payload, both directions together."),
        option("minPackets", &O::min_packets)
            .range(1, 1000000000)
            .default_value(1)
            .doc("A flow is announced once it has had this number of packets, both directions together."),
        option("exclude", &O::exclude).doc("Flows that are not announced. They are still marked with the catch-all tag."),
        option("maxFlows", &O::max_flows)
            .range(16, 4194304)
            .default_value(65536)
            .doc("Maximum number of metered flows; packets of further flows are counted as noRoom."),
        option("collectorsOnly", &O::collectors_only)
            .default_value(true)
            .doc("Announces flows to collectors only, not to their destinations, which are the hosts under test."),
        choice("attach", &O::attach,
               {{"auto", bpf::Attach::automatic}, {"tcx", bpf::Attach::tcx}, {"clsact", bpf::Attach::clsact}})
            .doc("The kernel hook: auto uses TCX if the kernel supports it, clsact otherwise.")
            .default_value("auto"),
    };
    return table;
}

void PerfsonarOptions::validate(const PerfsonarOptions& options, Problems& problems) {
    if (options.experiment == 0 && options.activity == 0)
        problems.warning("experimentId", "experiment 0 with activity 0 means \"no valid tag\": nothing will be marked",
                         "set the experiment and the activity of this host's tests, e.g. experimentId: atlas and "
                         "activityId: perfsonar");
    bpf::Interfaces::validate(options.interfaces, "interfaces", problems);
    if (options.ongoing > 0s && options.ongoing < 5s)
        problems.error("ongoing", "is too short: every live flow is announced again each time",
                       "write 5s or more, or 0s for never");
}

}  // namespace flowd::perfsonar
