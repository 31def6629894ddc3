// SPDX-License-Identifier: Apache-2.0
#include "lib/watch/link.hpp"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cerrno>

#include "lib/bpf/error.hpp"

namespace flowd::watch {

Result<UniqueFd> attach_sockops(int program, int cgroup) {
    UniqueFd link(bpf_link_create(program, cgroup, BPF_CGROUP_SOCK_OPS, nullptr));
    if (!link) return bpf::system_error(errno, "attaching a sockops program to the control group");
    return link;
}

Result<UniqueFd> attach_iterator(int program) {
    UniqueFd link(bpf_link_create(program, 0, BPF_TRACE_ITER, nullptr));
    if (!link) return bpf::system_error(errno, "attaching a BPF iterator");
    return link;
}

Result<UniqueFd> iterate(int link) {
    UniqueFd fd(bpf_iter_create(link));
    if (!fd) return bpf::system_error(errno, "starting a BPF iterator");
    return fd;
}

}  // namespace flowd::watch
