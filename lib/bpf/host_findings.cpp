// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/host_findings.hpp"

#include <utility>

#include "lib/kernel/capabilities.hpp"

namespace flowd::bpf {

using kernel::CapabilitySet;
using kernel::missing_capabilities;

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

void HostFindings::add_features(std::vector<Finding>& all, std::span<const std::string_view> needs, flowd_level severity,
                                const kernel::Features& features) const {
    for (const std::string_view need : needs)
        if (auto feature = features.lacking(need))
            all.push_back({severity, kernel_feature_missing, std::move(feature->name), std::move(feature->found),
                           std::move(feature->expected), std::move(feature->remedy)});
}

void HostFindings::add_jit(std::vector<Finding>& all) const {
    static constexpr std::string_view compiler[] = {"JIT"};
    add_features(all, compiler, FLOWD_LEVEL_WARNING);
}

void HostFindings::add_feature(std::vector<Finding>& all, std::string subject, const Error& error) const {
    all.push_back({FLOWD_LEVEL_ERROR, kernel_feature_missing, std::move(subject), error.message,
                   "the kernel offers what the module needs",
                   error.hint.empty() ? "boot a kernel of the distribution, 5.14 or newer" : error.hint});
}

}  // namespace flowd::bpf
