// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/clsact.hpp"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <optional>
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

tcmsg place_of(int interface_index, std::uint32_t parent) {
    tcmsg place{};
    place.tcm_family = AF_UNSPEC;
    place.tcm_ifindex = interface_index;
    place.tcm_parent = parent;
    return place;
}

std::uint32_t parent_of(Direction direction) {
    return TC_H_MAKE(TC_H_CLSACT, direction == Direction::egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
}

/// The kind of the qdisc at the place of clsact: an ingress qdisc accepts filters for egress, but runs them on ingress.
Result<std::string> kind_in_place(int interface_index) {
    return list<std::string>("qdiscs", RTM_GETQDISC, place_of(interface_index, 0),
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
Error attach_error(Error refused, int interface_index, const std::string& what) {
    char name[IF_NAMESIZE];
    const bool lacks_module =
        refused.code == FLOWD_NOT_FOUND && ::if_indextoname(static_cast<unsigned>(interface_index), name) != nullptr;
    if (lacks_module)
        if (const auto feature = kernel::Features().lacking("clsact")) return feature->error().within(what);
    Error error = bpf_error(std::move(refused)).within(what);
    if (lacks_module) {
        error.code = FLOWD_UNSUPPORTED;
        error.hint = "the kernel lacks a module: modprobe sch_ingress cls_bpf";
    }
    return error;
}

nl::Change added_qdisc(int interface_index) {
    tcmsg place = place_of(interface_index, TC_H_CLSACT);
    place.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
    nl::Change change(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, place);
    change.put(TCA_KIND, "clsact");
    return change;
}

nl::Change added_filter(int program, int interface_index, Direction direction, const Filter& filter) {
    tcmsg place = place_of(interface_index, parent_of(direction));
    place.tcm_handle = filter.handle;
    place.tcm_info = TC_H_MAKE(std::uint32_t{filter.priority} << 16, htons(filter.protocol));
    nl::Change change(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, place);
    change.put(TCA_KIND, filter.kind).nest(TCA_OPTIONS, [&](nl::Change& options) {
        options.put(TCA_BPF_FD, static_cast<std::uint32_t>(program));
        options.put(TCA_BPF_NAME, filter.name);
        options.put(TCA_BPF_FLAGS, std::uint32_t{TCA_BPF_FLAG_ACT_DIRECT});
    });
    return change;
}

}  // namespace

Result<std::vector<Filter>> list_filters(int interface_index, Direction direction) {
    return list<std::vector<Filter>>("tc filters", RTM_GETTFILTER, place_of(interface_index, parent_of(direction)),
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

Result<bool> find_clsact(int interface_index) {
    const auto kind = kind_in_place(interface_index);
    if (!kind) return kind.error();
    if (*kind == "clsact" || kind->empty()) return *kind == "clsact";
    return Error{FLOWD_BUSY, "it has a qdisc of kind " + *kind + ", and clsact cannot be added beside it",
                 "use `attach: tcx`, or let its owner replace it by clsact, which has the same ingress hook"};
}

Result<bool> remove_clsact(int interface_index, std::span<const PlacedFilter> ours) {
    for (const auto direction : {Direction::ingress, Direction::egress}) {
        auto filters = list_filters(interface_index, direction);
        if (!filters) return std::move(filters).error();
        for (const Filter& filter : *filters)
            if (std::none_of(ours.begin(), ours.end(),
                             [&](const PlacedFilter& one) { return one.direction == direction && one.filter.is(filter); }))
                return false;
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

Result<bool> remove_with_qdisc(int interface_index, std::span<const PlacedFilter> ours) {
    auto all = remove_clsact(interface_index, ours);
    if (all && *all) return true;
    std::optional<Error> refused;
    for (const auto& [direction, filter] : ours)
        if (auto removed = remove_filter(interface_index, direction, filter); !removed && !refused)
            refused = std::move(removed).error();
    auto rest = remove_clsact(interface_index, {});  // the other filters may have been removed meanwhile
    if (refused) return *std::move(refused);
    return rest;
}

Result<ClsactFilter> ClsactFilter::attach(int program, int interface_index, Direction direction, std::uint32_t handle,
                                          std::uint16_t priority, bool with_qdisc) {
    Filter filter;
    filter.handle = handle;
    filter.priority = priority;
    filter.protocol = ETH_P_ALL;
    filter.kind = "bpf";
    filter.program = program_id(program);
    filter.name = filter_name(program);
    std::vector<nl::Change> changes;
    if (with_qdisc) changes.push_back(added_qdisc(interface_index));
    changes.push_back(added_filter(program, interface_index, direction, filter));
    auto socket = nl::Socket::open(NETLINK_ROUTE);
    if (!socket) return std::move(socket).error();
    auto done = socket->change(changes);
    if (done) return ClsactFilter(interface_index, direction, std::move(filter));
    if (with_qdisc) {  // one of both may have been added
        (void)remove_filter(interface_index, direction, filter);
        if (done.error().code != FLOWD_BUSY) (void)remove_clsact(interface_index, {});
    }
    return attach_error(std::move(done).error(), interface_index, "attaching to clsact " + std::string(name_of(direction)));
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
