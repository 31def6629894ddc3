// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp marker clean`: removes filters and pins that markers left in the kernel when they were killed. No daemon.
#include "backends/marker/marker.hpp"
#include "backends/marker/verify.hpp"
#include "bpf/marker_types.h"
#include "flowd/tool.hpp"
#include "lib/bpf/attachments.hpp"

namespace flowd::marker {
namespace {

constexpr const char* default_persist_path = "/run/bpf/flowd";

struct CleanOptions {
    static const Table<CleanOptions>& table() {
        static const Table<CleanOptions> table{};
        return table;
    }
};

Result<void> clean(CleanOptions, ToolCall& call) {
    auto swept = bpf::sweep_filters(call.host(), "marker", {MARKER_ETHERNET_PROGRAM, MARKER_RAW_IP_PROGRAM},
                                    {bpf::Direction::egress});
    if (!swept) return std::move(swept).error();
    const auto config = call.config<Options>();
    const std::string path = config && *config ? (*config)->persist_path : std::string(default_persist_path);
    const auto pinned = Pins::discard_all(path);
    if (!pinned) return pinned.error();
    call.print("{\"removedFilters\":" + std::to_string(*swept) + ",\"removedPins\":" + std::to_string(*pinned) + "}");
    return {};
}

}  // namespace

std::vector<Tool> Marker::tools() {
    return {tool<&clean>("clean", "Removes what killed markers left in the kernel; does not affect a running one."),
            verify_tool(), verify_path_tool()};
}

}  // namespace flowd::marker
