// SPDX-License-Identifier: Apache-2.0
// lib/bpf/host_findings.hpp: privileges and kernel features that BPF programs need and this host lacks. Pure
// functions, except reading /proc and querying the kernel.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/findings.hpp"
#include "lib/kernel/features.hpp"

namespace flowd::bpf {

/// The ids of the findings of a component: stable, documented in docs/monitoring.md.
struct HostFindings {
    const char* capability_missing;
    const char* kernel_feature_missing;

    /// The capabilities of this thread.
    void add_rights(std::vector<Finding>& all) const;
    /// Of these requirements, those that this kernel does not meet (lib/kernel/features.hpp).
    void add_features(std::vector<Finding>& all, std::span<const std::string_view> needs,
                      flowd_level severity = FLOWD_LEVEL_ERROR,
                      const kernel::Features& features = kernel::Features()) const;
    /// A warning if BPF programs are interpreted.
    void add_jit(std::vector<Finding>& all) const;
    /// Any other feature that the kernel or its configuration lacks.
    void add_feature(std::vector<Finding>& all, std::string subject, const Error& error) const;
};

}  // namespace flowd::bpf
