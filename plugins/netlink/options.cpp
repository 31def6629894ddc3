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
        option("rules", &O::rules).length(0, 256).doc("Ordered; the first that matches a connection decides its tag."),
        option("internalNetworks", &O::internal_networks)
            .length(0, 1024)
            .doc("Connections to these networks are not announced."),
        option("ignorePrivate", &O::ignore_private)
            .default_value(true)
            .doc("Connections to private, loopback and link-local addresses are not announced."),
        option("announceExisting", &O::announce_existing)
            .default_value(true)
            .doc("Connections that are there when the plugin starts are announced, with that moment as their start."),
        option("udp", &O::udp).default_value(false).doc("Connected UDP sockets are flows as well."),
        option("period", &O::period)
            .range(std::chrono::milliseconds(100), std::chrono::hours(1))
            .default_value("5s")
            .doc("Time from one look at all connections to the next; closes are heard of at once."),
        option("maxConnections", &O::max_connections)
            .range(1, 100'000'000)
            .default_value(1'000'000)
            .doc("Connections that are announced at a time; more are counted and left alone."),
        option("receiveBuffer", &O::receive_buffer)
            .byte_size()
            .range(0, 1 << 30)
            .default_value("8 MiB")
            .doc("Bytes the kernel keeps of its notifications while the plugin is busy; 0 leaves the system's."),
        option("early", &O::early)
            .default_value(true)
            .doc("The kernel decides as a connection opens, before its first packet, where it can."),
        option("cgroupPath", &O::cgroup_path)
            .default_value("")
            .doc("Control group whose connections the kernel decides on; empty: the topmost, which is all."),
    };
    return table;
}

void PluginOptions::validate(const PluginOptions& options, Problems& problems) {
    if (options.experiment.has_value() != options.activity.has_value())
        problems.error(options.experiment ? "activity" : "experiment", "is missing: a tag is an experiment and an activity",
                       "write both, or neither");
    if (!options.experiment && !options.activity && options.rules.empty())
        problems.error("rules", "there is no rule and no default tag: nothing would be announced",
                       "write experiment and activity for all connections, or rules for some");
    for (std::size_t i = 0; i < options.rules.size(); ++i)
        RuleOptions::validate(options.rules[i], "rules[" + std::to_string(i) + "]", problems);
}

}  // namespace flowd::netlink
