// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/host_findings.hpp"

#include <unistd.h>

#include <utility>

#include "lib/bpf/error.hpp"
#include "lib/bpf/tcx.hpp"

namespace flowd::bpf {
namespace {

constexpr const char* kernel_btf = "/sys/kernel/btf/vmlinux";

}  // namespace

void HostFindings::add_rights(std::vector<Finding>& all) const {
    const std::string missing = missing_capabilities();
    if (missing.empty()) return;
    const std::string unavailable = missing_capabilities(CapabilitySet::bounding);
    if (!unavailable.empty())
        all.push_back({FLOWD_LEVEL_ERROR, capability_missing, unavailable,
                       "no process of this service or container can have " + unavailable, "BPF programs can be loaded",
                       "add them to CapabilityBoundingSet= and AmbientCapabilities= of the unit, or to the container "
                       "(--cap-add)"});
    else
        all.push_back(
            {FLOWD_LEVEL_WARNING, capability_missing, missing, "this process does not have " + missing,
             "BPF programs can be loaded",
             "start flowd-cpp by a unit with AmbientCapabilities=" + missing_capabilities(CapabilitySet::effective, " ") +
                 ", or: setcap " + missing_capabilities(CapabilitySet::effective, ",") + "+ep on the program"});
}

void HostFindings::add_btf(std::vector<Finding>& all) const {
    if (::access(kernel_btf, R_OK) != 0)
        all.push_back({FLOWD_LEVEL_ERROR, kernel_feature_missing, "BTF",
                       std::string("the kernel does not describe its types: there is no ") + kernel_btf,
                       "a kernel with CONFIG_DEBUG_INFO_BTF", "boot a kernel of the distribution, 5.14 or newer"});
}

void HostFindings::add_hook(std::vector<Finding>& all, Attach how) const {
    if (how != Attach::tcx) return;
    if (const auto present = has_tcx(); present && !*present)
        all.push_back({FLOWD_LEVEL_ERROR, kernel_feature_missing, "TCX", "the kernel has no TCX, which `attach: tcx` needs",
                       "Linux 6.6 or newer", "write attach: auto"});
}

void HostFindings::add_feature(std::vector<Finding>& all, std::string subject, const Error& error) const {
    all.push_back({FLOWD_LEVEL_ERROR, kernel_feature_missing, std::move(subject), error.message,
                   "the kernel offers what the module needs",
                   error.hint.empty() ? "boot a kernel of the distribution, 5.14 or newer" : error.hint});
}

}  // namespace flowd::bpf
