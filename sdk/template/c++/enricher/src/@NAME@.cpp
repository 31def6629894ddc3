// SPDX-License-Identifier: Apache-2.0
#include "@NAME@.hpp"

#include <netinet/in.h>

#include <cerrno>
#include <fstream>

namespace @NAME@_module {

const flowd::Table<Options>& Options::table() {
    static const flowd::Table<Options> table{
        flowd::option("file", &Options::file)
            .default_value("/proc/sys/net/ipv4/tcp_congestion_control")
            .doc("Where the name of the congestion control stands."),
    };
    return table;
}

flowd::Result<void> @CLASS@::prepare() {
    std::ifstream file(options_.file);
    if (!file) return flowd::Error::from_errno(errno, "reading " + options_.file.string());
    std::getline(file, congestion_);
    return {};
}

void @CLASS@::sample(const flowd::FlowBatch& flows, bool, flowd::Samples& samples) {
    // Once per period for all live flows, in batches: ask the kernel once for all of them, not once for each.
    for (const flowd_flow& flow : flows) {
        if (flow.key.protocol != IPPROTO_TCP) continue;
        flowd_sample sample{};
        sample.flow_id = flow.flow_id;
        sample.time_ns = flowd::unix_time_ns();
        sample.congestion = flowd::to_c(congestion_);
        samples.add(sample);
    }
}

}  // namespace @NAME@_module

FLOWD_MODULE(@NAME@_module::@CLASS@);
