// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/options.hpp"

#include "lib/bpf/interfaces.hpp"

namespace flowd::marker {

const Table<Options>& Options::table() {
    static const Table<Options> table{
        option("targetInterfaces", &Options::target_interfaces)
            .doc("Interfaces whose outgoing packets are marked. Empty: those that an IPv6 default route leads to.")
            .default_value("[]"),
        option("discoverInterfaces", &Options::discover_interfaces)
            .doc("Also mark on every interface with a public IPv6 address, now and later.")
            .default_value(false),
        option("waitForInterfaces", &Options::wait_for_interfaces)
            .doc("Start even when none of the interfaces exists yet.")
            .default_value(false),
        choice("markingStrategy", &Options::strategy, {{"label", Strategy::label}})
            .doc("Where a packet carries its tag: the IPv6 flow label.")
            .default_value("label"),
        choice("mode", &Options::mode, {{"mark", Mode::mark}, {"observe", Mode::observe}})
            .doc("Observe counts what would be marked and changes no packet.")
            .default_value("mark"),
        choice("policy", &Options::policy, {{"override", Policy::override}, {"keepExplicit", Policy::keep_explicit}})
            .doc("Whether a label that an application chose itself is replaced (override) or left alone (keepExplicit).")
            .default_value("override"),
        choice("attach", &Options::attach,
               {{"auto", bpf::Attach::automatic}, {"tcx", bpf::Attach::tcx}, {"clsact", bpf::Attach::clsact}})
            .doc("The kernel hook: auto takes TCX where the kernel has it and clsact otherwise.")
            .default_value("auto"),
        option("removeQdisc", &Options::remove_qdisc)
            .aliases({"forceHookRemoval"})
            .doc("At the end, remove a clsact qdisc that the marker made and nobody else uses.")
            .default_value(true),
        option("maxFlows", &Options::max_flows)
            .doc("Flows that can be marked at a time.")
            .range(1, 16777216)
            .default_value(131072),
        option("programPath", &Options::program_path)
            .doc("BPF object file to use instead of the built-in one. Empty: the built-in one.")
            .trusted()
            .default_value(""),
        option("matchAll", &Options::match_all)
            .doc("From flowd-go: warns when no catch-all tag arrives; the tag itself comes from a plugin such as "
                 "perfsonar.")
            .default_value(false),
        option("debugMode", &Options::debug_mode)
            .doc("Log what libbpf and the kernel's verifier say at level info.")
            .default_value(false),
    };
    return table;
}

void Options::validate(const Options& options, Problems& problems) {
    bpf::Interfaces::validate(options.target_interfaces, "targetInterfaces", problems);
}

}  // namespace flowd::marker
