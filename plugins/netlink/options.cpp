// SPDX-License-Identifier: Apache-2.0
#include "plugins/netlink/options.hpp"

namespace flowd::netlink {

const Table<PluginOptions>& PluginOptions::table() {
    using O = PluginOptions;
    static const Table<O> table{
        option("experiment", &O::experiment)
            .experiment()
            .aliases({"experimentId", "experimentID"})
            .doc("Experiment of connections that no rule matches; without it they are not announced."),
        option("activity", &O::activity)
            .activity()
            .aliases({"activityId", "activityID"})
            .doc("Activity of connections that no rule matches."),
        option("rules", &O::rules)
            .length(0, 256)
            .doc("Ordered list; the first rule that matches a connection determines its tag."),
        option("internalNetworks", &O::internal_networks)
            .length(0, 1024)
            .doc("Connections to these networks are not announced."),
        option("ignorePrivate", &O::ignore_private)
            .default_value(true)
            .doc("Connections to private, loopback and link-local addresses are not announced."),
        option("announceExisting", &O::announce_existing)
            .default_value(true)
            .doc("Connections that exist at the start of the plugin are announced, with the current time as their start."),
        option("udp", &O::udp).default_value(false).doc("Also find connected UDP sockets."),
        option("period", &O::period)
            .range(std::chrono::milliseconds(100), std::chrono::hours(1))
            .default_value("5s")
            .doc("Interval between dumps of all sockets; closes are reported at once."),
        option("maxConnections", &O::max_connections)
            .range(1, 100'000'000)
            .default_value(1'000'000)
            .doc("Maximum number of announced connections; more are counted and not announced."),
        option("receiveBuffer", &O::receive_buffer)
            .byte_size()
            .range(0, 1 << 30)
            .default_value("8 MiB")
            .doc("Receive buffer for notifications of the kernel while the plugin is busy; 0: the system's default."),
        option("early", &O::early)
            .default_value(true)
            .doc("Where possible, the kernel applies the rules when a connection opens, before its first packet."),
        option("cgroupPath", &O::cgroup_path)
            .default_value("")
            .doc("Control group (version 2) to whose connections early applies; empty: the root group."),
    };
    return table;
}

void PluginOptions::validate(const PluginOptions& options, Problems& problems) {
    if (options.experiment.has_value() != options.activity.has_value())
        problems.error(options.experiment ? "activity" : "experiment",
                       "is missing: a tag consists of an experiment and an activity", "write both, or neither");
    if (!options.experiment && !options.activity && options.rules.empty())
        problems.error("rules", "there is no rule and no default tag: nothing would be announced",
                       "write experiment and activity for all connections, or rules for some");
    for (std::size_t i = 0; i < options.rules.size(); ++i)
        RuleOptions::validate(options.rules[i], "rules[" + std::to_string(i) + "]", problems);
}

}  // namespace flowd::netlink
