// SPDX-License-Identifier: Apache-2.0
// The rules as the kernel's side takes them. Pure.
#pragma once

#include <span>
#include <vector>

#include "lib/watch/socket_watch.hpp"
#include "plugins/netlink/rules.hpp"

namespace flowd::netlink {

/// In the same order and with the same outcome, where the kernel can decide: ports, networks, user, control group,
/// direction. A rule with an interface becomes a question to the plugin, and what does not fit any more does so too.
/// `left_alone`: networks whose connections are nobody's flow.
[[nodiscard]] std::vector<watch_rule> for_kernel(const Rules& rules, const Surroundings& now,
                                                 std::span<const Network> left_alone);

}  // namespace flowd::netlink
