// SPDX-License-Identifier: Apache-2.0
// lib/netlink/interface.hpp: interfaces by name or alternative name (altname in the output of `ip link`). Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "flowd/problem.hpp"

namespace flowd::nl {

/// Whether it is valid as an interface name, or as a longer alternative name (dev_valid_name() and ALTIFNAMSIZ).
[[nodiscard]] bool is_interface_name(std::string_view name);

/// For a name in a configuration: what is wrong with it and what to write instead; the caller adds the option. Patterns
/// are valid.
[[nodiscard]] std::optional<Problem> check_interface_name(const std::string& name);

/// 0: there is no such interface in the network namespace of this thread.
[[nodiscard]] std::uint32_t interface_index(const std::string& name);

}  // namespace flowd::nl
