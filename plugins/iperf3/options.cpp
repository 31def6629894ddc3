// SPDX-License-Identifier: Apache-2.0
#include "plugins/iperf3/options.hpp"

#include "bpf/watch_types.h"

namespace flowd::iperf3 {

const Table<Iperf3Options>& Iperf3Options::table() {
    using O = Iperf3Options;
    static const Table<O> table{
        option("minSourcePort", &O::min_source_port).default_value(0).doc("Lowest local port; 0: no limit."),
        option("maxSourcePort", &O::max_source_port).default_value(0).doc("Highest local port; 0: no limit."),
        option("minDestinationPort", &O::min_destination_port).default_value(0).doc("Lowest remote port; 0: no limit."),
        option("maxDestinationPort", &O::max_destination_port).default_value(0).doc("Highest remote port; 0: no limit."),
        option("cgroupPath", &O::cgroup_path)
            .default_value("/sys/fs/cgroup")
            .doc("Control group (version 2) whose connections are seen; empty: the root group."),
        option("programPath", &O::program_path)
            .default_value("")
            .trusted()
            .doc("BPF object file that replaces the built-in one."),
        option("debugMode", &O::debug_mode)
            .default_value(false)
            .doc("Accepted for configurations of flowd-go, without effect: the program counts and does not print."),
        option("randomIDs", &O::random_ids)
            .aliases({"randomIds"})
            .default_value(false)
            .doc("Choose tags at random instead of in order."),
        option("activityIDs", &O::activities)
            .activity()
            .aliases({"activityIds"})
            .length(1, WATCH_MAX_TAGS)
            .default_value("[0, 1, 2]")
            .doc("Activities of the tags, each paired with the experiment at the same position."),
        option("experimentIDs", &O::experiments)
            .experiment()
            .aliases({"experimentIds"})
            .length(1, WATCH_MAX_TAGS)
            .default_value("[0, 1, 2]")
            .doc("Experiments of the tags, each paired with the activity at the same position."),
    };
    return table;
}

void Iperf3Options::validate(const Iperf3Options& options, Problems& problems) {
    const auto check = [&](const char* name, std::uint16_t low, std::uint16_t high) {
        if (high != 0 && low > high)
            problems.error(name, "is above the highest port, so that none would match",
                           "exchange the two, or write 0 for any");
    };
    check("minSourcePort", options.min_source_port, options.max_source_port);
    check("minDestinationPort", options.min_destination_port, options.max_destination_port);
    if (options.activities.size() != options.experiments.size())
        problems.error("activityIDs",
                       "has " + std::to_string(options.activities.size()) + " items, experimentIDs has " +
                           std::to_string(options.experiments.size()),
                       "they form pairs: both lists must have the same length");
    if (options.debug_mode)
        problems.warning("debugMode", "has no effect", "see flowd-cpp status for what the program counts");
}

}  // namespace flowd::iperf3
