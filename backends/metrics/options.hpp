// SPDX-License-Identifier: Apache-2.0
// Options of the metrics backend: flowd-go's address and two ports, or one port for everything.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flowd/module.hpp"
#include "lib/http/entrance.hpp"

namespace flowd::metrics {

/// The content of one port.
struct Selection {
    std::string flavour;  ///< flows sampled by this enricher; empty: by any
    bool daemon = true;   ///< also the daemon's own series
};

struct Listener {
    Endpoint endpoint;
    Selection selection;
    const char* option;  ///< that configured it
};

struct Options : http::EntranceOptions {
    std::optional<std::uint16_t> port;
    std::optional<std::uint16_t> netlink_port;
    std::optional<std::uint16_t> skops_port;
    bool per_flow = true;
    std::uint32_t max_flows = 1000;
    bool names = false;
    bool log = true;

    /// The daemon's own series are exported at one port only, so that the sum of two scrapes does not count them twice.
    [[nodiscard]] std::vector<Listener> listeners() const;

    static const Table<Options>& table();
    static void validate(const Options& options, Problems& problems);
};

}  // namespace flowd::metrics
