// SPDX-License-Identifier: Apache-2.0
// lib/netlink/interface.hpp: interfaces by name or alternative name (altname in the output of `ip link`). Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace flowd::nl {

/// Whether it is valid as an interface name, or as a longer alternative name (dev_valid_name() and ALTIFNAMSIZ).
[[nodiscard]] bool is_interface_name(std::string_view name);

/// 0: there is no such interface in the network namespace of this thread.
[[nodiscard]] std::uint32_t interface_index(const std::string& name);

}  // namespace flowd::nl
