// SPDX-License-Identifier: Apache-2.0
// backends/marker/interfaces.hpp: which interfaces are to be marked on, and which of them exist now. One thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/marker/options.hpp"
#include "flowd/result.hpp"
#include "lib/bpf/rtnetlink.hpp"

namespace flowd::marker {

class Interfaces {
  public:
    struct Found {
        std::vector<bpf::Link> present;
        std::vector<std::string> missing;  ///< configured by name, but not there
    };

    explicit Interfaces(const Options& options)
        : names_(options.target_interfaces), discover_(options.discover_interfaces) {}

    [[nodiscard]] Result<Found> find() const;
    /// The RTMGRP_* whose notifications may change what find() answers.
    [[nodiscard]] std::uint32_t groups() const;
    /// For people: "eth0, eth1 and every interface with a public IPv6 address".
    [[nodiscard]] std::string describe() const;

  private:
    [[nodiscard]] bool by_default_route() const { return names_.empty() && !discover_; }
    std::vector<std::string> names_;
    bool discover_;
};

}  // namespace flowd::marker
