// SPDX-License-Identifier: Apache-2.0
// The names that rules use, looked up: addresses of interfaces, ids of control groups. For one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plugins/netlink/rules.hpp"

namespace flowd::netlink {

/// The current interfaces and control groups that the rules name. At most `most` descendants of groups are found.
[[nodiscard]] Surroundings look_around(const Rules& rules, std::size_t most = 65536);

/// The networks that count as internal: private, unique local, link-local, loopback (RFC 1918, 4193, 3927, 4291).
[[nodiscard]] const std::vector<Network>& private_networks();

}  // namespace flowd::netlink
