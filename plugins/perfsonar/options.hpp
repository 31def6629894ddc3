// SPDX-License-Identifier: Apache-2.0
// plugins/perfsonar/options.hpp: the options of the perfsonar plugin.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "flowd/options.hpp"
#include "flowd/problem.hpp"
#include "lib/bpf/attachments.hpp"
#include "lib/bpf/interfaces.hpp"

namespace flowd::perfsonar {

/// Flows that are not announced: those with an end in one of the networks, or with one of the ports.
struct Exclude {
    std::vector<Network> networks;
    std::vector<std::uint16_t> ports;
    static const Table<Exclude>& table();
    [[nodiscard]] bool includes(const flowd_key& key) const;
};

struct PerfsonarOptions {
    std::uint32_t experiment = 0;
    std::uint32_t activity = 0;
    bool flows = true;
    std::vector<std::string> interfaces;
    bool wait_for_interfaces = false;
    std::chrono::seconds idle_timeout{60};
    std::chrono::seconds tcp_idle_timeout{600};
    std::chrono::seconds ongoing{0};  ///< 0: never
    std::uint64_t min_bytes = 0;
    std::uint32_t min_packets = 1;
    Exclude exclude;
    std::uint32_t max_flows = 65536;
    bool collectors_only = true;
    bpf::Attach attach = bpf::Attach::automatic;

    [[nodiscard]] flowd_tag tag() const { return {experiment, activity}; }
    [[nodiscard]] bpf::InterfaceChoice interface_choice() const { return {interfaces, false, bpf::RouteFamily::both}; }
    static const Table<PerfsonarOptions>& table();
    static void validate(const PerfsonarOptions& options, Problems& problems);
};

}  // namespace flowd::perfsonar
