// SPDX-License-Identifier: Apache-2.0
// lib/netlink/routes.hpp: the default routes of this network namespace (rtnetlink(7)). Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flowd/result.hpp"

namespace flowd::nl {

struct DefaultRoute {
    int interface = 0;    ///< index
    unsigned family = 0;  ///< AF_INET or AF_INET6
    std::uint32_t table = 0;
    std::string gateway = {};  ///< empty: the route has none

    [[nodiscard]] bool is_in_main_table() const;
    /// "IPv6 default route via 2001:db8::1 in table 201"
    [[nodiscard]] std::string describe() const;
};

/// Of the tables that a rule leads to (ip-rule(8)); one for each next hop. `family`: AF_INET6, or AF_UNSPEC for all.
[[nodiscard]] Result<std::vector<DefaultRoute>> default_routes(unsigned char family);

}  // namespace flowd::nl
