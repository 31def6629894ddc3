// SPDX-License-Identifier: Apache-2.0
// What rules refer to by name, looked up: addresses of interfaces, ids of control groups. Belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plugins/netlink/rules.hpp"

namespace flowd::netlink {

/// Interfaces and control groups that the rules name, as they are now. Groups below a named one are found up to `most`.
[[nodiscard]] Surroundings look_around(const Rules& rules, std::size_t most = 65536);

/// What flowd takes for internal: private, unique local, link-local, loopback (RFC 1918, 4193, 3927, 4291).
[[nodiscard]] const std::vector<Network>& private_networks();

}  // namespace flowd::netlink
