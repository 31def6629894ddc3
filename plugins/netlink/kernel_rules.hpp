// SPDX-License-Identifier: Apache-2.0
// The rules in the form of the BPF program. Pure functions.
#pragma once

#include <span>
#include <vector>

#include "lib/watch/socket_watch.hpp"
#include "plugins/netlink/rules.hpp"

namespace flowd::netlink {

/// Rules in the same order and with the same result, as far as the kernel can decide: ports, networks, user, control group,
/// direction. A rule with an interface, and rules for which there is no room, become a question to the plugin (WATCH_ASK).
/// `left_alone`: networks whose connections are not flows.
[[nodiscard]] std::vector<watch_rule> for_kernel(const Rules& rules, const Surroundings& now,
                                                 std::span<const Network> left_alone);

}  // namespace flowd::netlink
