// SPDX-License-Identifier: Apache-2.0
// plugins/netlink/host_ids.hpp: ids of the findings about the host that plugin and enricher share.
#pragma once

#include "lib/bpf/host_findings.hpp"

namespace flowd::netlink {

inline constexpr bpf::HostFindings host_ids{"netlink-capability-missing", "netlink-kernel-feature-missing"};

}  // namespace flowd::netlink
