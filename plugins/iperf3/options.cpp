// SPDX-License-Identifier: Apache-2.0
#include "plugins/iperf3/options.hpp"

#include "bpf/watch_types.h"

namespace flowd::iperf3 {

const Table<Iperf3Options>& Iperf3Options::table() {
    using O = Iperf3Options;
    static const Table<O> table{
        option("minSourcePort", &O::min_source_port).default_value(0).doc("Lowest port of this host's end; 0: any."),
        option("maxSourcePort", &O::max_source_port).default_value(0).doc("Highest port of this host's end; 0: any."),
        option("minDestinationPort", &O::min_destination_port)
            .default_value(0)
            .doc("Lowest port of the other end; 0: any."),
        option("maxDestinationPort", &O::max_destination_port)
            .default_value(0)
            .doc("Highest port of the other end; 0: any."),
        option("cgroupPath", &O::cgroup_path)
            .default_value("/sys/fs/cgroup")
            .doc("Control group whose connections are seen, found where version 2 is mounted; empty: the topmost."),
        option("programPath", &O::program_path)
            .default_value("")
            .trusted()
            .doc("Another BPF object than the built-in one."),
        option("debugMode", &O::debug_mode)
            .default_value(false)
            .doc("Has no effect: the program counts instead of printing; taken for flowd-go's configurations."),
        option("randomIDs", &O::random_ids)
            .aliases({"randomIds"})
            .default_value(false)
            .doc("Tags are taken by chance instead of one after the other."),
        option("activityIDs", &O::activities)
            .activity()
            .aliases({"activityIds"})
            .length(1, WATCH_MAX_TAGS)
            .default_value("[0, 1, 2]")
            .doc("Activities of the tags, each with the experiment at the same place."),
        option("experimentIDs", &O::experiments)
            .experiment()
            .aliases({"experimentIds"})
            .length(1, WATCH_MAX_TAGS)
            .default_value("[0, 1, 2]")
            .doc("Experiments of the tags, each with the activity at the same place."),
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
                       "they are pairs: write as many of each");
    if (options.debug_mode)
        problems.warning("debugMode", "has no effect", "see flowd-cpp status for what the program counts");
}

}  // namespace flowd::iperf3
