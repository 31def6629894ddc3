// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/clsact.hpp"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>

#include <cerrno>
#include <set>
#include <utility>

#include "lib/bpf/error.hpp"
#include "lib/bpf/object.hpp"
#include "lib/bpf/rtnetlink.hpp"
#include "lib/bpf/sized.hpp"
#include "lib/kernel/features.hpp"

namespace flowd::bpf {
namespace {

bpf_tc_hook hook_of(int interface_index, Direction direction = Direction::egress) {
    auto hook = sized<bpf_tc_hook>();
    hook.ifindex = interface_index;
    hook.attach_point = direction == Direction::egress ? BPF_TC_EGRESS : BPF_TC_INGRESS;
    return hook;
}

/// The kind of the qdisc at the place of clsact: an ingress qdisc accepts filters for egress, but runs them on ingress.
Result<std::string> kind_in_place(int interface_index) {
    tcmsg request{};
    request.tcm_family = AF_UNSPEC;
    request.tcm_ifindex = interface_index;
    return list<std::string>("qdiscs", RTM_GETQDISC, request,
                             [interface_index](std::string& kind, const nl::Message& message) {
                                 const auto* const qdisc = message.body<tcmsg>();
                                 if (message.type() != RTM_NEWQDISC || qdisc == nullptr) return;
                                 if (qdisc->tcm_ifindex != interface_index || qdisc->tcm_parent != TC_H_CLSACT) return;
                                 message.attributes(sizeof *qdisc, [&kind](const nl::Attribute& attribute) {
                                     if (attribute.type() == TCA_KIND) kind = attribute.text();
                                 });
                             });
}

Filter read_filter(const nl::Message& message, const tcmsg& traffic) {
    Filter filter;
    filter.handle = traffic.tcm_handle;
    filter.priority = static_cast<std::uint16_t>(TC_H_MAJ(traffic.tcm_info) >> 16);
    filter.protocol = ntohs(static_cast<std::uint16_t>(TC_H_MIN(traffic.tcm_info)));
    message.attributes(sizeof traffic, [&filter](const nl::Attribute& attribute) {
        if (attribute.type() == TCA_KIND) filter.kind = attribute.text();
        if (attribute.type() == TCA_CHAIN) filter.chain = attribute.number<std::uint32_t>().value_or(0);
        if (attribute.type() != TCA_OPTIONS || filter.kind != "bpf") return;
        nl::for_each_attribute(attribute.bytes(), [&filter](const nl::Attribute& option) {
            if (option.type() == TCA_BPF_NAME) filter.name = option.text();
            if (option.type() == TCA_BPF_ID) filter.program = option.number<std::uint32_t>().value_or(0);
        });
    });
    return filter;
}

/// The kernel answers ENOENT if it has no module for a qdisc or a filter.
Error attach_error(int number, const std::string& what) {
    if (number == -ENOENT)
        if (const auto feature = kernel::Features().lacking("clsact")) return feature->error().within(what);
    Error error = system_error(number, what);
    if (number == -ENOENT) {
        error.code = FLOWD_UNSUPPORTED;
        error.hint = "the kernel lacks a module: modprobe sch_ingress cls_bpf";
    }
    return error;
}

}  // namespace

Result<std::vector<Filter>> list_filters(int interface_index, Direction direction) {
    tcmsg request{};
    request.tcm_family = AF_UNSPEC;
    request.tcm_ifindex = interface_index;
    request.tcm_parent = TC_H_MAKE(TC_H_CLSACT, direction == Direction::egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
    return list<std::vector<Filter>>("tc filters", RTM_GETTFILTER, request,
                                     [](std::vector<Filter>& found, const nl::Message& message) {
                                         const auto* const traffic = message.body<tcmsg>();
                                         if (message.type() != RTM_NEWTFILTER || traffic == nullptr) return;
                                         Filter filter = read_filter(message, *traffic);
                                         // The kernel sends a message for each priority before those of its filters.
                                         if (filter.handle != 0 || filter.kind != "bpf") found.push_back(std::move(filter));
                                     });
}

std::uint16_t free_priority(const std::vector<Filter>& third_party) {
    std::set<std::uint16_t> taken;  // all filters of a priority have one kind, protocol and chain
    for (const Filter& filter : third_party)
        if (filter.chain == 0) taken.insert(filter.priority);
    if (taken.empty() || *taken.begin() > 2) return 2;
    if (*taken.begin() == 2) return 1;
    std::uint16_t priority = 2;
    while (taken.contains(priority)) ++priority;
    return priority;
}

Result<void> check_clsact_place(int interface_index) {
    const auto kind = kind_in_place(interface_index);
    if (!kind) return kind.error();
    if (*kind == "clsact" || kind->empty()) return {};
    return Error{FLOWD_BUSY, "it has a qdisc of kind " + *kind + ", and clsact cannot be added beside it",
                 "use `attach: tcx`, or let its owner replace it by clsact, which has the same ingress hook"};
}

Result<bool> ensure_clsact(int interface_index) {
    bpf_tc_hook hook = hook_of(interface_index);
    const int number = bpf_tc_hook_create(&hook);
    if (number == -EEXIST) {
        if (auto place = check_clsact_place(interface_index); !place) return std::move(place).error();
        return false;
    }
    if (number != 0) return attach_error(number, "adding a clsact qdisc");
    return true;
}

Result<bool> remove_clsact_if_unused(int interface_index) {
    for (const auto direction : {Direction::ingress, Direction::egress}) {
        auto filters = list_filters(interface_index, direction);
        if (!filters) return std::move(filters).error();
        if (!filters->empty()) return false;
    }
    bpf_tc_hook hook = hook_of(interface_index);
    hook.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);  // libbpf: the whole qdisc
    const int number = bpf_tc_hook_destroy(&hook);
    if (number == -ENOENT || number == -ENODEV) return false;
    if (number == -EINVAL) {  // gone: another program has removed it meanwhile
        if (const auto kind = kind_in_place(interface_index); kind && *kind != "clsact") return false;
    }
    if (number != 0) return system_error(number, "removing the clsact qdisc");
    return true;
}

Result<void> remove_filter(int interface_index, Direction direction, const Filter& filter) {
    const bpf_tc_hook hook = hook_of(interface_index, direction);
    auto present = sized<bpf_tc_opts>();
    present.handle = filter.handle;
    present.priority = filter.priority;
    if (const int number = bpf_tc_query(&hook, &present)) return system_error(number, "reading our tc filter");
    if (present.prog_id != filter.program)
        return Error{FLOWD_NOT_FOUND, "another program replaced our tc filter; its filter is not removed"};
    auto options = sized<bpf_tc_opts>();
    options.handle = filter.handle;
    options.priority = filter.priority;
    if (const int number = bpf_tc_detach(&hook, &options)) return system_error(number, "removing our tc filter");
    return {};
}

Result<ClsactFilter> ClsactFilter::attach(int program, int interface_index, Direction direction, std::uint32_t handle,
                                          std::uint16_t priority) {
    const bpf_tc_hook hook = hook_of(interface_index, direction);
    auto options = sized<bpf_tc_opts>();
    options.prog_fd = program;
    options.handle = handle;
    options.priority = priority;
    if (const int number = bpf_tc_attach(&hook, &options))
        return attach_error(number, "attaching to clsact " + std::string(name_of(direction)));
    Filter filter;
    filter.handle = options.handle;
    filter.priority = static_cast<std::uint16_t>(options.priority);
    filter.protocol = ETH_P_ALL;
    filter.kind = "bpf";
    filter.program = options.prog_id != 0 ? options.prog_id : program_id(program);
    return ClsactFilter(interface_index, direction, std::move(filter));
}

ClsactFilter::ClsactFilter(ClsactFilter&& other) noexcept
    : interface_(std::exchange(other.interface_, 0)), direction_(other.direction_), filter_(std::move(other.filter_)) {}

ClsactFilter& ClsactFilter::operator=(ClsactFilter&& other) noexcept {
    std::swap(interface_, other.interface_);
    std::swap(direction_, other.direction_);
    std::swap(filter_, other.filter_);
    return *this;
}

ClsactFilter::~ClsactFilter() {
    // If it was removed with its interface, or by another program, there is nothing left to do.
    if (interface_ != 0) (void)remove_filter(interface_, direction_, filter_);
}

}  // namespace flowd::bpf
