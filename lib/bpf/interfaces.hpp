// SPDX-License-Identifier: Apache-2.0
// lib/bpf/interfaces.hpp: which interfaces are chosen, and which of them exist now. One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "flowd/problem.hpp"
#include "flowd/result.hpp"
#include "lib/bpf/rtnetlink.hpp"

namespace flowd::bpf {

enum class RouteFamily { ipv6, both };

/// The configured interfaces: names, rules, or nothing, which means those of the default routes.
struct InterfaceChoice {
    std::vector<std::string> names;          ///< or shell patterns: "eth*"
    bool public_addresses = false;           ///< also every interface with a public IPv6 address
    RouteFamily routes = RouteFamily::ipv6;  ///< of the default routes that count
};

/// Those of `links` on which no other of them is stacked, directly or indirectly: a packet passes exactly one of a stack.
[[nodiscard]] std::vector<Link> uppermost(const std::vector<Link>& links, const std::vector<Link>& all);

class Interfaces {
  public:
    struct Found {
        std::vector<Link> present;
        std::vector<std::string> missing;  ///< configured by name, but absent
        std::map<int, std::string> why;    ///< by index, what chose it: "configured", a default route, its address
    };

    explicit Interfaces(InterfaceChoice choice) : choice_(std::move(choice)) {}

    [[nodiscard]] Result<Found> find() const;
    /// The RTMGRP_* whose notifications may change the result of find().
    [[nodiscard]] std::uint32_t groups() const;
    /// For messages: "eth0, eth1 and every interface with a public IPv6 address".
    [[nodiscard]] std::string describe() const;

    /// The rules for a list of interface names, for a component's validate(); `option` is its name.
    static void validate(const std::vector<std::string>& names, const std::string& option, Problems& problems);

  private:
    [[nodiscard]] bool by_default_route() const { return choice_.names.empty() && !choice_.public_addresses; }
    InterfaceChoice choice_;
};

}  // namespace flowd::bpf
