// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/attachments.hpp"

#include <net/if_arp.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "lib/bpf/object.hpp"

namespace flowd::bpf {
namespace {

// Of linux/if_arp.h, where glibc's older header lacks them.
constexpr unsigned hardware_none = 0xfffe;
constexpr unsigned hardware_ip6gre = 823;
constexpr unsigned hardware_raw_ip = 519;

/// Whether the packets of a device begin with their IP header; nothing: with a header we do not know.
std::optional<bool> begins_with_ip(const Link& link) {
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

}  // namespace

bool is_program(const Filter& filter, std::string_view program) {
    return filter.kind == "bpf" && (filter.name == program || filter.name.starts_with(std::string(program) + ":["));
}

Attachments::Attachments(Host& host, Purpose purpose, Ownership ownership)
    : host_(host), purpose_(std::move(purpose)), ownership_(std::move(ownership)) {}

Attachments::Changes Attachments::reconcile(const std::vector<Link>& wanted) {
    Changes changes;
    std::map<int, const Link*> by_index;
    for (const Link& link : wanted) by_index[link.index] = &link;
    for (auto it = attached_.begin(); it != attached_.end();) {
        if (const auto wanted_link = by_index.find(it->first); wanted_link != by_index.end()) {
            it->second.link = *wanted_link->second;  // it may have another name now
            ++it;
            continue;
        }
        changes.detached.push_back(it->second.link);
        host_.info("no longer " + purpose_.doing + " on " + it->second.link.name +
                   ", which is gone or not chosen any more");
        detach(std::move(it->second));
        it = attached_.erase(it);
    }
    for (const Link& link : wanted) {
        if (attached_.contains(link.index)) continue;
        auto attached = attach(link);
        if (!attached) {
            changes.failures.push_back({link, std::move(attached).error()});
            continue;
        }
        if (auto kept = keep(*attached); !kept) host_.warning(link.name + ": " + kept.error().message);
        host_.info(purpose_.doing + " on " + link.name + " (" + (attached->on_clsact() ? "clsact" : "tcx") + ")");
        attached_.emplace(link.index, *std::move(attached));
        changes.attached.push_back(link);
    }
    remove_stale_pins();
    return changes;
}

Result<Attachments::Attached> Attachments::attach(const Link& link) {
    const auto raw_ip = begins_with_ip(link);
    if (!raw_ip)
        return Error{FLOWD_UNSUPPORTED,
                     link.name + " is of hardware type " + std::to_string(link.hardware) + ", whose packets can't be read",
                     "choose the interfaces below or above it"};
    Attached attached{link, {}, {}, false};
    for (const HookPrograms& hook : purpose_.hooks)
        attached.programs.push_back(program_id(*raw_ip ? hook.raw_ip : hook.ethernet));
    if (purpose_.how != Attach::clsact) {
        auto hooks = attach_tcx(link, *raw_ip);
        if (hooks) {
            attached.hooks = *std::move(hooks);
            return attached;
        }
        if (purpose_.how == Attach::tcx || hooks.error().code != FLOWD_UNSUPPORTED) {
            Error error = std::move(hooks).error().within(link.name);
            if (error.code == FLOWD_UNSUPPORTED)
                error.hint = "this kernel has no TCX; use `attach: auto` or `attach: clsact`";
            return error;
        }
        host_.debug(link.name + ": no TCX on this kernel, taking clsact");
    }
    auto made = ensure_clsact(link.index);
    if (!made) return std::move(made).error().within(link.name);
    auto hooks = attach_clsact(link, *raw_ip);
    if (!hooks) {
        if (*made) (void)remove_clsact_if_unused(link.index);
        return std::move(hooks).error().within(link.name);
    }
    attached.hooks = *std::move(hooks);
    attached.made_qdisc = *made;
    return attached;
}

Result<std::vector<Attachments::Hook>> Attachments::attach_tcx(const Link& link, bool raw_ip) const {
    std::vector<Hook> hooks;
    for (const HookPrograms& hook : purpose_.hooks) {
        auto attached = TcxLink::attach(raw_ip ? hook.raw_ip : hook.ethernet, link.index, hook.direction);
        if (!attached) return std::move(attached).error();
        hooks.emplace_back(*std::move(attached));
    }
    return hooks;
}

Result<std::vector<Attachments::Hook>> Attachments::attach_clsact(const Link& link, bool raw_ip) const {
    std::vector<Hook> hooks;
    for (const HookPrograms& hook : purpose_.hooks) {
        auto attached =
            ClsactFilter::attach(raw_ip ? hook.raw_ip : hook.ethernet, link.index, hook.direction, ownership_.handle());
        if (!attached) return std::move(attached).error();
        hooks.emplace_back(*std::move(attached));
    }
    return hooks;
}

void Attachments::detach(Attached attached) {
    const bool on_clsact = attached.on_clsact();
    const Link link = attached.link;
    const bool made_qdisc = attached.made_qdisc;
    attached.hooks.clear();  // a pinned link goes with its pin
    if (!on_clsact || !made_qdisc || !purpose_.remove_qdisc) return;
    auto removed = remove_clsact_if_unused(link.index);
    if (!removed) host_.debug(link.name + ": " + removed.error().message);
    if (removed && !*removed) host_.debug(link.name + ": others use the clsact qdisc that we made: it stays");
}

void Attachments::take_over(Attachments& predecessor) {
    for (auto& [index, theirs] : predecessor.attached_) {
        const auto ours = attached_.find(index);
        if (ours != attached_.end() && ours->second.on_clsact() && std::exchange(theirs.made_qdisc, false))
            ours->second.made_qdisc = true;
    }
}

void Attachments::detach_all() {
    for (auto& [index, attached] : attached_)
        purpose_.kept_in.empty() ? detach(std::move(attached)) : leave(std::move(attached));
    attached_.clear();
}

std::string Attachments::pin_of(int interface_index, std::size_t hook) const {
    return purpose_.kept_in + "/link_" + std::to_string(interface_index) + "_" + std::to_string(hook);
}

Result<void> Attachments::keep(Attached& attached) const {
    if (purpose_.kept_in.empty() || attached.on_clsact()) return {};  // a filter needs no pin
    for (std::size_t i = 0; i < attached.hooks.size(); ++i)
        if (auto pinned = std::get<TcxLink>(attached.hooks[i]).pin(pin_of(attached.link.index, i)); !pinned) return pinned;
    return {};
}

void Attachments::leave(Attached attached) {
    for (Hook& hook : attached.hooks)
        if (auto* const filter = std::get_if<ClsactFilter>(&hook)) filter->release();
}

void Attachments::remove_stale_pins() const {
    if (purpose_.kept_in.empty()) return;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(purpose_.kept_in, error)) {
        const std::string name = entry.path().filename();
        constexpr std::string_view prefix = "link_";
        if (!name.starts_with(prefix)) continue;
        int index = 0;
        (void)std::from_chars(name.data() + prefix.size(), name.data() + name.size(), index);
        const auto owner = attached_.find(index);
        if (owner == attached_.end() || owner->second.on_clsact()) std::filesystem::remove(entry.path(), error);
    }
}

Result<std::uint32_t> Attachments::sweep() const {
    std::vector<Direction> directions;
    for (const HookPrograms& hook : purpose_.hooks) directions.push_back(hook.direction);
    return sweep_filters(host_, ownership_.role(), purpose_.program_names, directions);
}

Result<std::uint32_t> sweep_filters(Host& host, const std::string& role, const std::vector<std::string>& program_names,
                                    const std::vector<Direction>& directions) {
    auto found = links();
    if (!found) return std::move(found).error();
    std::uint32_t swept = 0;
    for (const Link& link : *found) {
        for (const Direction direction : directions) {
            auto filters = list_filters(link.index, direction);
            if (!filters) return std::move(filters).error().within(link.name);
            for (const Filter& filter : *filters) {
                const bool is_ours = std::any_of(program_names.begin(), program_names.end(),
                                                 [&](const std::string& name) { return is_program(filter, name); });
                if (!is_ours || Ownership::is_alive(role, filter.handle)) continue;
                auto done = remove_filter(link.index, direction, filter);
                if (!done) return std::move(done).error().within(link.name);
                host.warning(link.name + ": removed the tc filter of a " + role + " that did not end properly");
                ++swept;
            }
        }
    }
    return swept;
}

std::vector<Attachments::State> Attachments::states() const {
    std::vector<State> states;
    for (const auto& [index, attached] : attached_)
        states.push_back({attached.link, attached.on_clsact() ? "clsact" : "tcx", attached.programs});
    return states;
}

}  // namespace flowd::bpf
