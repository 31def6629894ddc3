// SPDX-License-Identifier: Apache-2.0
// lib/bpf/host_findings.hpp: what BPF programs need of this host and do not have: rights and kernel features. Pure
// functions but for reading /proc and asking the kernel.
#pragma once

#include <string>
#include <vector>

#include "flowd/findings.hpp"
#include "lib/bpf/attachments.hpp"

namespace flowd::bpf {

/// How a component names them: stable ids, documented in docs/monitoring.md.
struct HostFindings {
    const char* capability_missing;
    const char* kernel_feature_missing;

    /// The capabilities of this thread.
    void add_rights(std::vector<Finding>& all) const;
    /// For programs that read structures of the kernel (CO-RE).
    void add_btf(std::vector<Finding>& all) const;
    /// For the option `attach`.
    void add_hook(std::vector<Finding>& all, Attach how) const;
    /// Something else that the kernel or its configuration does not offer.
    void add_feature(std::vector<Finding>& all, std::string subject, const Error& error) const;
};

}  // namespace flowd::bpf
