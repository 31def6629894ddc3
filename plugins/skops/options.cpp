// SPDX-License-Identifier: Apache-2.0
#include "plugins/skops/options.hpp"

namespace flowd::skops {

const Table<SkopsOptions>& SkopsOptions::table() {
    using O = SkopsOptions;
    static const Table<O> table{
        choice("strategy", &O::strategy, {{"poll", Strategy::poll}, {"transition", Strategy::transition}})
            .default_value("poll")
            .doc("Samples all connections once per period (poll), or each connection when its state changes (transition)."),
        option("cgroupPath", &O::cgroup_path)
            .default_value("/sys/fs/cgroup")
            .doc("Control group (version 2) whose connections are sampled; empty: the root group."),
        option("programPath", &O::program_path)
            .default_value("")
            .trusted()
            .doc("BPF object file that replaces the built-in one."),
        option("debugMode", &O::debug_mode)
            .default_value(false)
            .doc("Accepted for configurations of flowd-go, without effect: the program prints nothing."),
    };
    return table;
}

void SkopsOptions::validate(const SkopsOptions& options, Problems& problems) {
    if (options.debug_mode)
        problems.warning("debugMode", "has no effect", "see flowd-cpp status for what the enricher counts");
}

}  // namespace flowd::skops
