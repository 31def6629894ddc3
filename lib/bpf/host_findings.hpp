// SPDX-License-Identifier: Apache-2.0
// lib/bpf/host_findings.hpp: privileges and kernel features that BPF programs need and this host lacks. Pure
// functions, except reading /proc and querying the kernel.
#pragma once

#include <string>
#include <vector>

#include "flowd/findings.hpp"
#include "lib/bpf/attachments.hpp"

namespace flowd::bpf {

/// The ids of the findings of a component: stable, documented in docs/monitoring.md.
struct HostFindings {
    const char* capability_missing;
    const char* kernel_feature_missing;

    /// The capabilities of this thread.
    void add_rights(std::vector<Finding>& all) const;
    /// For programs that read structures of the kernel (CO-RE).
    void add_btf(std::vector<Finding>& all) const;
    /// For the option `attach`.
    void add_hook(std::vector<Finding>& all, Attach how) const;
    /// Any other feature that the kernel or its configuration lacks.
    void add_feature(std::vector<Finding>& all, std::string subject, const Error& error) const;
};

}  // namespace flowd::bpf
