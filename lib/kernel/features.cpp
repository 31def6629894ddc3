// SPDX-License-Identifier: Apache-2.0
#include "lib/kernel/features.hpp"

#include <linux/bpf.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "lib/kernel/cgroups.hpp"
#include "lib/netlink/socket.hpp"

namespace flowd::kernel {
namespace {

constexpr int first_major = 5, first_minor = 14;
constexpr const char* boot_another = "boot a kernel of the distribution, 5.14 or newer";

/// In part of the files this process may read nothing, which says nothing about the kernel.
std::optional<std::string> read(const std::string& path) {
    std::ifstream file(path);
    if (!file) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(file), {});
}

bool exists(const std::string& path) {
    std::error_code error;
    return std::filesystem::exists(path, error);
}

Feature make(std::string_view name, FeatureState state, std::string found, std::string expected, std::string remedy) {
    return {std::string(name), state, std::move(found), std::move(expected), std::move(remedy)};
}

Feature look_at_release(const FeatureSources& sources, std::string_view name) {
    int major = 0, minor = 0;
    const char* const end = sources.release.data() + sources.release.size();
    const auto dot = std::from_chars(sources.release.data(), end, major);
    if (dot.ec != std::errc() || dot.ptr == end || *dot.ptr != '.' ||
        std::from_chars(dot.ptr + 1, end, minor).ec != std::errc())
        return make(name, FeatureState::unknown, "this is Linux " + sources.release, "Linux 5.14 or newer", boot_another);
    const bool is_new = major > first_major || (major == first_major && minor >= first_minor);
    return make(name, is_new ? FeatureState::present : FeatureState::missing,
                "this is Linux " + sources.release + (is_new ? "" : ", which is older than 5.14"), "Linux 5.14 or newer",
                boot_another);
}

Feature look_at_bpf(const FeatureSources& sources, std::string_view name) {
    const bool has_none = sources.query_bpf() == ENOSYS;
    return make(name, has_none ? FeatureState::missing : FeatureState::present,
                has_none ? "the kernel has no bpf system call" : "the kernel has the bpf system call",
                "a kernel with CONFIG_BPF_SYSCALL", boot_another);
}

Feature look_at_btf(const FeatureSources& sources, std::string_view name) {
    const std::string path = "/sys/kernel/btf/vmlinux";
    const bool present = exists(sources.root + path);
    return make(name, present ? FeatureState::present : FeatureState::missing,
                present ? "the kernel describes its types in " + path
                        : "the kernel does not describe its types: there is no " + path,
                "a kernel with CONFIG_DEBUG_INFO_BTF", boot_another);
}

Feature look_at_jit(const FeatureSources& sources, std::string_view name) {
    const std::string path = "/proc/sys/net/core/bpf_jit_enable";
    const std::string remedy = "sysctl -w net.core.bpf_jit_enable=1";
    const std::string expected = "the kernel compiles BPF programs";
    const auto value = read(sources.root + path);
    // Only the first network namespace has the file.
    if (!value || value->empty())
        return make(name, FeatureState::unknown, "only root can read " + path + ", and not in a network namespace",
                    expected, remedy);
    const bool is_on = value->front() != '0';
    return make(name, is_on ? FeatureState::present : FeatureState::missing,
                is_on ? "the kernel compiles BPF programs"
                      : "the JIT compiler for BPF is off (net.core.bpf_jit_enable=0): programs are slow, or not loaded",
                expected, remedy);
}

/// Lockdown in its mode "confidentiality" takes bpf_probe_read_kernel from all programs (kernel_lockdown(7)).
Feature look_at_kernel_memory(const FeatureSources& sources, std::string_view name) {
    const auto mode = read(sources.root + "/sys/kernel/security/lockdown");
    const auto words = read(sources.root + "/proc/cmdline");
    // Without securityfs, as in many containers, only the command line tells.
    const bool is_denied = mode ? mode->find("[confidentiality]") != std::string::npos
                                : words && words->find("lockdown=confidentiality") != std::string::npos;
    return make(name, is_denied ? FeatureState::denied : FeatureState::present,
                is_denied ? "kernel lockdown is confidentiality: BPF programs may not read kernel memory"
                          : "BPF programs may read kernel memory",
                "kernel lockdown is none or integrity", "boot with lockdown=integrity (or without lockdown=)");
}

Feature look_at_tcx(const FeatureSources& sources, std::string_view name) {
    const int answer = sources.query_tcx();
    const std::string expected = "Linux 6.6 or newer", remedy = "write attach: auto";
    if (answer == EINVAL || answer == ENOSYS)
        return make(name, FeatureState::missing, "the kernel has no TCX", expected, remedy);
    if (answer != 0) return make(name, FeatureState::unknown, "only root can find out", expected, remedy);
    return make(name, FeatureState::present, "the kernel has TCX", expected, remedy);
}

/// Whether a module is loaded, built in, or installed where the kernel loads it from. Nothing: unknown; in a container,
/// the modules of the host cannot be seen.
std::optional<bool> has_module(const FeatureSources& sources, const std::string& name) {
    if (exists(sources.root + "/sys/module/" + name)) return true;
    const std::string directory = sources.root + "/lib/modules/" + sources.release;
    const auto built_in = read(directory + "/modules.builtin");
    const auto installed = read(directory + "/modules.dep");
    if (!installed) return std::nullopt;
    const std::string file = "/" + name + ".ko";
    return installed->find(file) != std::string::npos || (built_in && built_in->find(file) != std::string::npos);
}

Feature look_at_clsact(const FeatureSources& sources, std::string_view name) {
    std::string missing;
    bool all_known = true;
    for (const char* module : {"sch_ingress", "cls_bpf"}) {
        const auto present = has_module(sources, module);
        all_known = all_known && present.has_value();
        if (present && !*present) missing += (missing.empty() ? "" : " and ") + std::string(module);
    }
    const std::string expected = "the modules sch_ingress and cls_bpf (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF)";
    const std::string remedy =
        "install the package with all modules of this kernel: kernel-modules-core on EL, "
        "linux-image-" +
        sources.release + " on Debian";
    if (!missing.empty()) return make(name, FeatureState::missing, "the kernel has no " + missing, expected, remedy);
    if (!all_known)
        return make(name, FeatureState::unknown, "the kernel's modules cannot be seen in /lib/modules/" + sources.release,
                    expected, remedy);
    return make(name, FeatureState::present, "the kernel has sch_ingress and cls_bpf", expected, remedy);
}

Feature look_at_cgroup2(const FeatureSources& sources, std::string_view name) {
    const bool present = !cgroup_mount(sources.root).path.empty();
    return make(name, present ? FeatureState::present : FeatureState::missing,
                present ? "control groups of version 2 are mounted" : "control groups of version 2 are mounted nowhere",
                "a mounted cgroup2", "mount -t cgroup2 none /sys/fs/cgroup");
}

/// A program that is attached to a part of the groups does not see the connections of the others.
Feature look_at_cgroup2_root(const FeatureSources& sources, std::string_view name) {
    const CgroupMount mount = cgroup_mount(sources.root);
    const std::string expected = "the control groups of the whole host are mounted";
    const std::string remedy =
        "run it with the host's cgroup namespace (podman and docker: --cgroupns=host), or name a control group in "
        "cgroupPath";
    if (mount.path.empty())
        return make(name, FeatureState::unknown, "control groups of version 2 are mounted nowhere", expected, remedy);
    if (!mount.is_whole)
        return make(name, FeatureState::missing,
                    "this process sees only a part of the control groups, at " + mount.path +
                        ": it is in a cgroup namespace of its own",
                    expected, remedy);
    return make(name, FeatureState::present, "the control groups of the whole host are mounted at " + mount.path, expected,
                remedy);
}

Feature look_at_diag(const FeatureSources& sources, std::string_view name, std::uint8_t protocol) {
    const int answer = sources.query_sock_diag(protocol);
    const std::string module(name), expected = "the module " + module + " (CONFIG_INET_DIAG)",
                                    remedy = "modprobe " + module +
                                             "; if there is no such module, install the package with "
                                             "all modules of this kernel";
    if (answer == ENOENT)
        return make(name, FeatureState::missing, "the kernel has no " + module + ": its sockets cannot be listed", expected,
                    remedy);
    if (answer != 0)
        return make(name, FeatureState::unknown, std::string("sock_diag answers: ") + std::strerror(answer), expected,
                    remedy);
    return make(name, FeatureState::present, "the kernel lists its sockets by " + module, expected, remedy);
}

using Look = Feature (*)(const FeatureSources&, std::string_view);
constexpr struct Known {
    std::string_view name;
    Look look;
} known[] = {
    {"kernel", look_at_release},
    {"BPF", look_at_bpf},
    {"JIT", look_at_jit},
    {"BTF", look_at_btf},
    {"kernel-memory", look_at_kernel_memory},
    {"TCX", look_at_tcx},
    {"clsact", look_at_clsact},
    {"cgroup2", look_at_cgroup2},
    {"cgroup2-root", look_at_cgroup2_root},
    {"tcp_diag",
     [](const FeatureSources& sources, std::string_view name) { return look_at_diag(sources, name, IPPROTO_TCP); }},
    {"udp_diag",
     [](const FeatureSources& sources, std::string_view name) { return look_at_diag(sources, name, IPPROTO_UDP); }},
};

constexpr auto known_names = [] {
    std::array<std::string_view, std::size(known)> names{};
    for (std::size_t i = 0; i < names.size(); ++i) names[i] = known[i].name;
    return names;
}();

int call_bpf(int command, bpf_attr& attributes) {
    return ::syscall(SYS_bpf, command, &attributes, sizeof attributes) < 0 ? errno : 0;
}

int ask_for_tcx() {
    bpf_attr attributes{};
    attributes.query.target_fd = 1;     // LOOPBACK_IFINDEX: in every network namespace
    attributes.query.attach_type = 47;  // BPF_TCX_EGRESS, which linux/bpf.h has since Linux 6.6
    const int answer = call_bpf(BPF_PROG_QUERY, attributes);
    return answer == ENOENT ? 0 : answer;  // nothing was ever attached
}

int ask_for_bpf() {
    bpf_attr attributes{};
    return call_bpf(BPF_PROG_GET_NEXT_ID, attributes);
}

/// Asks for the sockets in no state.
int ask_sock_diag(std::uint8_t protocol) {
    auto socket = nl::Socket::open(NETLINK_SOCK_DIAG);
    if (!socket) return socket.error().code == FLOWD_DENIED ? EPERM : EIO;
    inet_diag_req_v2 request{};
    request.sdiag_family = AF_INET;
    request.sdiag_protocol = protocol;
    const auto done = socket->dump(SOCK_DIAG_BY_FAMILY, request, [](const nl::Message&) {}, {});
    if (done) return 0;
    return done.error().code == FLOWD_NOT_FOUND ? ENOENT : EIO;
}

}  // namespace

std::string_view name_of(FeatureState state) {
    switch (state) {
        case FeatureState::present:
            return "present";
        case FeatureState::missing:
            return "missing";
        case FeatureState::denied:
            return "denied";
        case FeatureState::unknown:
            break;
    }
    return "unknown";
}

Error Feature::error() const {
    return {state == FeatureState::denied ? FLOWD_DENIED : FLOWD_UNSUPPORTED, found, remedy};
}

FeatureSources FeatureSources::system() {
    utsname name{};
    (void)::uname(&name);
    return {{}, name.release, ask_for_tcx, ask_for_bpf, ask_sock_diag};
}

std::vector<std::string_view> alternatives(std::string_view requirement) {
    std::vector<std::string_view> names;
    for (;;) {
        const auto end = requirement.find('|');
        names.push_back(requirement.substr(0, end));
        if (end == std::string_view::npos) return names;
        requirement.remove_prefix(end + 1);
    }
}

std::span<const std::string_view> Features::names() {
    return known_names;
}

Feature Features::look(std::string_view name) const {
    for (const Known& one : known)
        if (one.name == name) return one.look(sources_, name);
    return make(name, FeatureState::unknown, "this version of flowd-cpp does not know it", "a known feature",
                "see docs/kernels.md");
}

std::optional<Feature> Features::lacking(std::string_view requirement) const {
    std::optional<Feature> first;
    for (const std::string_view name : alternatives(requirement)) {
        Feature feature = look(name);
        if (!feature.is_lacking()) return std::nullopt;
        if (!first) {
            first = std::move(feature);
            continue;
        }
        first->name += " or " + feature.name;
        first->found += ", and " + feature.found;
        first->expected += ", or " + feature.expected;
        first->remedy = std::move(feature.remedy);
    }
    return first;
}

std::optional<Feature> Features::first_lacking(std::span<const std::string_view> requirements) const {
    for (const std::string_view requirement : requirements)
        if (auto feature = lacking(requirement)) return feature;
    return std::nullopt;
}

}  // namespace flowd::kernel
