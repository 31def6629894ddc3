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

/// What one port shows.
struct Selection {
    std::string flavour;  ///< flows as this enricher sampled them; empty: as all of them did
    bool daemon = true;   ///< the daemon's own series as well
};

struct Listener {
    Endpoint endpoint;
    Selection selection;
    const char* option;  ///< that asked for it
};

struct Options : http::EntranceOptions {
    std::optional<std::uint16_t> port;
    std::optional<std::uint16_t> netlink_port;
    std::optional<std::uint16_t> skops_port;
    bool per_flow = true;
    std::uint32_t max_flows = 1000;
    bool names = false;
    bool log = true;

    /// The daemon's own series are at one of them only: two scrapes of one host must not add up to twice of everything.
    [[nodiscard]] std::vector<Listener> listeners() const;

    static const Table<Options>& table();
    static void validate(const Options& options, Problems& problems);
};

}  // namespace flowd::metrics
