// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/attachments.hpp"

#include <net/if_arp.h>

#include <string_view>
#include <utility>

#include "lib/bpf/object.hpp"

namespace flowd::marker {
namespace {

// Of linux/if_arp.h, where glibc's older header lacks them.
constexpr unsigned hardware_none = 0xfffe;
constexpr unsigned hardware_ip6gre = 823;
constexpr unsigned hardware_raw_ip = 519;

/// Whether the packets of a device begin with their IP header; nothing: with a header we do not know.
std::optional<bool> begins_with_ip(const bpf::Link& link) {
    switch (link.hardware) {
        case ARPHRD_ETHER:
        case ARPHRD_LOOPBACK:
            return false;
        case ARPHRD_PPP:
        case ARPHRD_TUNNEL:
        case ARPHRD_TUNNEL6:
        case ARPHRD_SIT:
        case ARPHRD_IPGRE:
        case hardware_ip6gre:
        case hardware_raw_ip:
        case hardware_none:
            return true;
        default:
            return std::nullopt;
    }
}

/// libbpf names a filter "PROGRAM:[ID]".
bool is_program(const bpf::Filter& filter, std::string_view program) {
    return filter.kind == "bpf" && (filter.name == program || filter.name.starts_with(std::string(program) + ":["));
}

bool is_marker(const bpf::Filter& filter) {
    return is_program(filter, MARKER_ETHERNET_PROGRAM) || is_program(filter, MARKER_RAW_IP_PROGRAM);
}

}  // namespace

Attachments::Attachments(Host& host, const Program& program, Ownership ownership, Attach how, bool remove_qdisc)
    : host_(host), program_(program), ownership_(std::move(ownership)), how_(how), remove_qdisc_(remove_qdisc) {}

std::vector<Attachments::Failure> Attachments::reconcile(const std::vector<bpf::Link>& wanted) {
    std::map<int, const bpf::Link*> by_index;
    for (const bpf::Link& link : wanted) by_index[link.index] = &link;
    for (auto it = attached_.begin(); it != attached_.end();) {
        if (by_index.contains(it->first)) {
            ++it;
            continue;
        }
        host_.info("no longer marking on " + it->second.link.name + ", which is gone or not chosen any more");
        detach(std::move(it->second));
        it = attached_.erase(it);
    }
    std::vector<Failure> failures;
    for (const bpf::Link& link : wanted) {
        if (attached_.contains(link.index)) continue;
        auto attached = attach(link);
        if (!attached) {
            failures.push_back({link, std::move(attached).error()});
            continue;
        }
        host_.info("marking on " + link.name + " (" + (attached->hook.index() == 0 ? "tcx" : "clsact") + ")");
        attached_.emplace(link.index, *std::move(attached));
        warn_of_strangers(link);
    }
    return failures;
}

Result<Attachments::Attached> Attachments::attach(const bpf::Link& link) {
    const auto raw_ip = begins_with_ip(link);
    if (!raw_ip)
        return Error{
            FLOWD_UNSUPPORTED,
            link.name + " is of hardware type " + std::to_string(link.hardware) + ", whose packets the marker can't read",
            "mark on the interfaces below or above it"};
    const int program = *raw_ip ? program_.raw_ip() : program_.ethernet();
    if (how_ != Attach::clsact) {
        auto tcx = bpf::TcxLink::attach(program, link.index);
        if (tcx) return Attached{link, *std::move(tcx), bpf::program_id(program), false};
        if (how_ == Attach::tcx || tcx.error().code != FLOWD_UNSUPPORTED) {
            Error error = std::move(tcx).error().within(link.name);
            if (error.code == FLOWD_UNSUPPORTED)
                error.hint = "this kernel has no TCX; use `attach: auto` or `attach: clsact`";
            return error;
        }
        host_.debug(link.name + ": no TCX on this kernel, taking clsact");
    }
    return attach_clsact(link, program);
}

Result<Attachments::Attached> Attachments::attach_clsact(const bpf::Link& link, int program) {
    auto made = bpf::ensure_clsact(link.index);
    if (!made) return std::move(made).error().within(link.name);
    auto filter = bpf::ClsactFilter::attach(program, link.index, ownership_.handle());
    if (!filter) {
        if (*made) (void)bpf::remove_clsact_if_unused(link.index);
        return std::move(filter).error().within(link.name);
    }
    const std::uint32_t id = filter->filter().program;
    return Attached{link, *std::move(filter), id, *made};
}

void Attachments::detach(Attached attached) {
    const bool on_clsact = attached.hook.index() == 1;
    const bpf::Link link = attached.link;
    const bool made_qdisc = attached.made_qdisc;
    { const auto gone = std::move(attached.hook); }
    if (!on_clsact || !made_qdisc) return;
    if (!remove_qdisc_) return;
    auto removed = bpf::remove_clsact_if_unused(link.index);
    if (!removed) host_.debug(link.name + ": " + removed.error().message);
    if (removed && !*removed) host_.debug(link.name + ": others use the clsact qdisc that we made: it stays");
}

void Attachments::take_over(Attachments& predecessor) {
    for (auto& [index, theirs] : predecessor.attached_) {
        const auto ours = attached_.find(index);
        if (ours != attached_.end() && ours->second.hook.index() == 1 && std::exchange(theirs.made_qdisc, false))
            ours->second.made_qdisc = true;
    }
}

void Attachments::detach_all() {
    for (auto& [index, attached] : attached_) detach(std::move(attached));
    attached_.clear();
}

Result<std::uint32_t> Attachments::sweep() {
    auto links = bpf::links();
    if (!links) return std::move(links).error();
    std::uint32_t swept = 0;
    for (const bpf::Link& link : *links) {
        auto filters = bpf::list_filters(link.index, bpf::Direction::egress);
        if (!filters) return std::move(filters).error().within(link.name);
        for (const bpf::Filter& filter : *filters) {
            if (!is_marker(filter) || filter.handle == ownership_.handle() || Ownership::is_alive(filter.handle)) continue;
            if (auto done = bpf::remove_filter(link.index, filter); !done) return std::move(done).error().within(link.name);
            host_.warning(link.name + ": removed the tc filter of a marker that did not end properly");
            ++swept;
        }
    }
    return swept;
}

void Attachments::warn_of_strangers(const bpf::Link& link) {
    const auto filters = bpf::list_filters(link.index, bpf::Direction::egress);
    if (!filters) return;
    for (const bpf::Filter& filter : *filters) {
        if (!is_program(filter, "marker")) continue;  // what flowd-go calls its program
        host_.warning(link.name +
                      " has a tc filter named 'marker', as flowd-go leaves behind: it overwrites our labels; stop "
                      "flowd-go, or: tc filter del dev " +
                      link.name + " egress prio " + std::to_string(filter.priority) + " handle " +
                      std::to_string(filter.handle) + " bpf");
    }
}

std::vector<Attachments::State> Attachments::states() const {
    std::vector<State> states;
    for (const auto& [index, attached] : attached_)
        states.push_back({attached.link, attached.hook.index() == 0 ? "tcx" : "clsact", attached.program});
    return states;
}

}  // namespace flowd::marker
