// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/tcx.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <linux/bpf.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string>

#include "lib/bpf/error.hpp"
#include "lib/bpf/sized.hpp"
#include "lib/kernel/features.hpp"

namespace flowd::bpf {
namespace {

// linux/bpf.h of Linux 6.6; the headers of Debian 12 and EL9 are older than the kernels they run on.
constexpr auto tcx_ingress = static_cast<bpf_attach_type>(46);  // BPF_TCX_INGRESS
constexpr auto tcx_egress = static_cast<bpf_attach_type>(47);   // BPF_TCX_EGRESS
constexpr std::uint32_t before_all = 1u << 3;                   // BPF_F_BEFORE, relative to nothing

bpf_attach_type type_of(Direction direction) {
    return direction == Direction::egress ? tcx_egress : tcx_ingress;
}

/// A program that passes each packet on to the next one. Its name is one of this project's.
Result<UniqueFd> load_idle_program() {
    const std::array<bpf_insn, 2> code{{
        {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, -1},  // TCX_NEXT
        {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
    }};
    UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "flowd_marker_0", "GPL", code.data(), code.size(), nullptr));
    if (!program) return system_error(errno, "loading a BPF program");
    return program;
}

}  // namespace

Result<std::vector<std::uint32_t>> tcx_programs(int interface_index, Direction direction) {
    std::vector<std::uint32_t> ids(64);  // BPF_MPROG_MAX, include/linux/bpf_mprog.h
    auto options = sized<struct bpf_prog_query_opts>();
    options.prog_ids = ids.data();
    options.prog_cnt = static_cast<std::uint32_t>(ids.size());
    const int number = bpf_prog_query_opts(interface_index, type_of(direction), &options);
    if (number == -EINVAL || number == -ENOENT) return std::vector<std::uint32_t>{};  // ENOENT: nothing was ever attached
    if (number != 0) return system_error(number, "listing the programs on TCX " + std::string(name_of(direction)));
    ids.resize(options.prog_cnt);
    return ids;
}

Result<TcxLink> TcxLink::attach(int program, int interface_index, Direction direction) {
    auto options = sized<bpf_link_create_opts>();
    options.flags = before_all;
    const int fd = bpf_link_create(program, interface_index, type_of(direction), &options);
    if (fd >= 0) return TcxLink(UniqueFd(fd));
    const std::string what = "attaching to TCX " + std::string(name_of(direction));
    // Kernels without TCX answer the unknown attach type with EINVAL.
    if (fd == -EINVAL)
        if (const auto feature = kernel::Features().lacking("TCX")) return feature->error().within(what);
    return system_error(fd, what);
}

Result<void> TcxLink::replace(int program) {
    if (const int number = bpf_link_update(fd_.get(), program, nullptr))
        return system_error(number, "replacing the program of a TCX link");
    return {};
}

Result<void> TcxLink::pin(const std::string& path) {
    // Renamed over the old pin, so that a link is attached all the time.
    const std::string beside = path + "_new";
    ::unlink(beside.c_str());
    if (const int number = bpf_obj_pin(fd_.get(), beside.c_str())) return system_error(number, "pinning " + beside);
    if (::rename(beside.c_str(), path.c_str()) != 0) return system_error(errno, "pinning " + path);
    return {};
}

TcxPlaces::TcxPlaces(std::vector<int> interface_indexes, std::vector<Direction> directions) {
    auto take_all = [interface_indexes = std::move(interface_indexes), directions = std::move(directions)] {
        Places places;
        const auto idle = load_idle_program();
        if (!idle) return places;
        for (const int index : interface_indexes)
            for (const Direction direction : directions)
                if (auto link = TcxLink::attach(idle->get(), index, direction))
                    places.emplace(std::pair(index, direction), *std::move(link));
        return places;
    };
    try {
        coming_ = std::async(std::launch::async, std::move(take_all));
    } catch (const std::system_error&) {  // no thread is to be had: no place is taken
    }
}

std::optional<TcxLink> TcxPlaces::take(int interface_index, Direction direction) {
    if (coming_.valid()) places_ = coming_.get();
    auto taken = places_.extract({interface_index, direction});
    if (taken.empty()) return std::nullopt;
    return std::move(taken.mapped());
}

}  // namespace flowd::bpf
