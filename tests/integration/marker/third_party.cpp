// SPDX-License-Identifier: Apache-2.0
// Attaches a counting program to the egress hook of an interface:
//   third_party INTERFACE tcx-first|tcx-last|clsact|flowd-go|tcx-first-ok|clsact-ok|clsact-bleach|clsact-silent|
//     tcx-first-redirect|tcx-last-redirect|clsact-redirect [PRIORITY]
// Those with -ok return TC_ACT_OK, which hides packets from the programs behind them. clsact-bleach clears flow labels,
// clsact-silent drops the ICMPv6 errors of this host that tell of an exceeded hop limit. Those with -redirect send IPv6
// packets out of eth1.
// Prints "ready"; then, for each line it reads, how many packets it has seen. The TCX link ends with it, a filter stays.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>

#include "third_party.skel.h"

namespace {

int fail(const char* what) {
    std::perror(what);
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 4) return 2;
    const int interface_index = static_cast<int>(if_nametoindex(argv[1]));
    const std::string how = argv[2];
    third_party_bpf* const skeleton = third_party_bpf::open();
    if (skeleton == nullptr) return fail("open");
    skeleton->rodata->third_party_target = if_nametoindex("eth1");
    if (third_party_bpf::load(skeleton) != 0) return fail("load");
    const bpf_program* which = skeleton->progs.third_party;
    if (how == "flowd-go") which = skeleton->progs.marker;
    if (how.ends_with("-ok")) which = skeleton->progs.third_party_ok;
    if (how.ends_with("-bleach")) which = skeleton->progs.third_party_bleach;
    if (how.ends_with("-silent")) which = skeleton->progs.third_party_silent;
    if (how.ends_with("-redirect")) which = skeleton->progs.third_party_redirect;
    const int program = bpf_program__fd(which);
    if (how.starts_with("tcx")) {
        bpf_link_create_opts options{};
        options.sz = sizeof options;
        options.flags = how.starts_with("tcx-first") ? 1u << 3 : 1u << 4;  // BPF_F_BEFORE, BPF_F_AFTER
        if (bpf_link_create(program, interface_index, static_cast<bpf_attach_type>(47), &options) < 0) return fail("tcx");
    } else {
        bpf_tc_hook hook{};
        hook.sz = sizeof hook;
        hook.ifindex = interface_index;
        hook.attach_point = BPF_TC_EGRESS;
        (void)bpf_tc_hook_create(&hook);
        bpf_tc_opts options{};
        options.sz = sizeof options;
        options.prog_fd = program;
        options.priority = argc == 4 ? static_cast<std::uint32_t>(std::stoul(argv[3])) : 1;
        options.handle = 1;
        if (bpf_tc_attach(&hook, &options) != 0) return fail("clsact");
    }
    std::cout << "ready" << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        const std::uint32_t only = 0;
        std::uint64_t seen = 0;
        if (bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.third_party_seen), &only, &seen) != 0) return fail("count");
        std::cout << seen << std::endl;
    }
    third_party_bpf::destroy(skeleton);
    return 0;
}
