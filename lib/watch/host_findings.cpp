// SPDX-License-Identifier: Apache-2.0
#include "lib/watch/host_findings.hpp"

#include "lib/watch/cgroup.hpp"

namespace flowd::watch {

std::vector<Finding> host_findings(const bpf::HostFindings& ids, const std::string& cgroup, bool attaches) {
    std::vector<Finding> all;
    ids.add_rights(all);
    ids.add_features(all, kernel_needs);
    ids.add_jit(all);
    const auto found = find_cgroup(cgroup);
    if (!found)
        ids.add_feature(all, "cgroup2", found.error());
    else if (const auto opened = attaches ? open_cgroup(*found) : UniqueFd(); !opened)
        ids.add_feature(all, "cgroup2-root", opened.error());
    return all;
}

}  // namespace flowd::watch
