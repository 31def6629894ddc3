// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/options.hpp"

#include "lib/bpf/interfaces.hpp"

namespace flowd::marker {
namespace {

void validate_dscp_map(const std::vector<DscpRule>& rules, Problems& problems) {
    for (std::size_t i = 0; i < rules.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (rules[i].experiment == rules[j].experiment && rules[i].activity == rules[j].activity)
                problems.add(
                    {"dscpMap[" + std::to_string(i) + "]", "the same tag is mapped twice", "remove one of them", ""});
}

}  // namespace

const Table<Options>& Options::table() {
    static const Table<Options> table{
        option("targetInterfaces", &Options::target_interfaces)
            .doc("Interfaces whose outgoing packets are marked, by name or pattern (eth*). Empty: the interfaces of the "
                 "IPv6 default routes.")
            .default_value("[]"),
        option("discoverInterfaces", &Options::discover_interfaces)
            .doc("Also mark on every interface with a public IPv6 address; changes are followed.")
            .default_value(false),
        option("waitForInterfaces", &Options::wait_for_interfaces)
            .doc("Start even if none of the interfaces exists yet.")
            .default_value(false),
        choice("markingStrategy", &Options::strategy,
               {{"label", Strategy::label},
                {"hopByHop", Strategy::hop_by_hop},
                {"destination", Strategy::destination},
                {"hopByHopDestination", Strategy::hop_by_hop_destination},
                {"dscp", Strategy::dscp},
                {"label+dscp", Strategy::label_dscp}})
            .doc("Where the tag is written: the IPv6 flow label, an IPv6 extension header, or the DSCP of IPv4 and IPv6.")
            .default_value("label"),
        option("dscpMap", &Options::dscp_map)
            .doc("For the strategies with dscp: the DSCP of each tag. Tags that are not listed have none.")
            .default_value("[]"),
        option("replaceDscp", &Options::replace_dscp)
            .doc("Whether a DSCP that an application has set is replaced.")
            .default_value(false),
        option("forwarded", &Options::forwarded)
            .doc("Also mark packets that this host only forwards, such as those of containers and virtual machines.")
            .default_value(false),
        choice("mode", &Options::mode, {{"mark", Mode::mark}, {"observe", Mode::observe}})
            .doc("Mode observe counts what would be marked and does not modify packets.")
            .default_value("mark"),
        choice("policy", &Options::policy, {{"override", Policy::override}, {"keepExplicit", Policy::keep_explicit}})
            .doc("Whether a label that an application has set is replaced (override) or kept (keepExplicit).")
            .default_value("override"),
        choice("attach", &Options::attach,
               {{"auto", bpf::Attach::automatic}, {"tcx", bpf::Attach::tcx}, {"clsact", bpf::Attach::clsact}})
            .doc("The kernel hook: auto uses TCX if the kernel supports it, clsact otherwise.")
            .default_value("auto"),
        option("removeQdisc", &Options::remove_qdisc)
            .aliases({"forceHookRemoval"})
            .doc("At the stop, remove the clsact qdisc if flowd-cpp added it and no filter is left on it. Default: true, "
                 "with persist: false."),
        option("persist", &Options::persist)
            .doc("Packets are also marked while the daemon does not run; the next start takes over table, settings and "
                 "links.")
            .default_value(false),
        option("persistPath", &Options::persist_path)
            .doc("For persist: a directory on a BPF file system.")
            .path()
            .default_value("/run/bpf/flowd"),
        option("persistIdle", &Options::persist_idle)
            .doc("For persist: how long a flow that was taken over keeps its mark without a packet, and how long the "
                 "catch-all tag is written after the daemon has ended, at least 10 s.")
            .range(std::chrono::seconds(1), std::chrono::hours(24 * 7))
            .default_value("5min"),
        option("maxFlows", &Options::max_flows)
            .doc("Maximum number of marked flows.")
            .range(1, 4194304)
            .default_value(131072),
        option("programPath", &Options::program_path)
            .doc("BPF object file that replaces the built-in one. Empty: the built-in one.")
            .trusted()
            .default_value(""),
        option("matchAll", &Options::match_all)
            .doc("Key of flowd-go: warns if no catch-all tag arrives; the tag comes from a plugin such as perfsonar.")
            .default_value(false),
        option("debugMode", &Options::debug_mode)
            .doc("Log the messages of libbpf and the verifier at level info.")
            .default_value(false),
    };
    return table;
}

const Table<DscpRule>& DscpRule::table() {
    static const Table<DscpRule> table{
        option("experiment", &DscpRule::experiment)
            .doc("Experiment, by id or by its name in the registry.")
            .experiment()
            .required(),
        option("activity", &DscpRule::activity)
            .doc("Activity, by id or by its name in the registry. Absent: all activities that are not listed.")
            .activity(),
        option("dscp", &DscpRule::dscp).doc("The DSCP, a number (RFC 2474).").range(0, 63).required(),
    };
    return table;
}

void Options::validate(const Options& options, Problems& problems) {
    bpf::Interfaces::validate(options.target_interfaces, "targetInterfaces", problems);
    const bool uses_dscp = options.strategy == Strategy::dscp || options.strategy == Strategy::label_dscp;
    if (uses_dscp && options.dscp_map.empty())
        problems.add({"dscpMap", "no tag has a DSCP", "dscpMap: [{experiment: atlas, dscp: 10}]", ""});
    if (!uses_dscp && !options.dscp_map.empty())
        problems.add(
            {"dscpMap", "no DSCP is written with this markingStrategy", "markingStrategy: dscp or label+dscp", ""});
    if (options.persist && options.remove_qdisc.value_or(false))
        problems.add({"removeQdisc", "persist keeps the marker when the daemon ends, removeQdisc removes it",
                      "remove one of them", "true"});
    validate_dscp_map(options.dscp_map, problems);
}

}  // namespace flowd::marker
