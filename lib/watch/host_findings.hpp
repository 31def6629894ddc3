// SPDX-License-Identifier: Apache-2.0
// lib/watch/host_findings.hpp: features that a program at a control group needs and this host lacks.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/findings.hpp"
#include "lib/bpf/host_findings.hpp"

namespace flowd::watch {

/// What programs that read the kernel's socket structs require of the kernel (lib/kernel/features.hpp).
inline constexpr std::array<std::string_view, 4> kernel_needs{"kernel", "BPF", "BTF", "kernel-memory"};

/// `cgroup` as configured. attaches: a program is attached to it; otherwise it only says which sockets count.
[[nodiscard]] std::vector<Finding> host_findings(const bpf::HostFindings& ids, const std::string& cgroup,
                                                 bool attaches = true);

}  // namespace flowd::watch
