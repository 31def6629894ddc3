// SPDX-License-Identifier: Apache-2.0
// lib/watch/host_findings.hpp: features that a program at a control group needs and this host lacks.
#pragma once

#include <string>
#include <vector>

#include "flowd/findings.hpp"
#include "lib/bpf/host_findings.hpp"

namespace flowd::watch {

/// `cgroup` as configured.
[[nodiscard]] std::vector<Finding> host_findings(const bpf::HostFindings& ids, const std::string& cgroup);

}  // namespace flowd::watch
