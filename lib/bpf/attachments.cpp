// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/attachments.hpp"

#include <linux/pkt_sched.h>
#include <net/if.h>
#include <net/if_arp.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
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

/// Whether the packets of a device begin with their IP header; nothing if the type of their header is not supported.
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

Result<int> program_for(const Link& link, const HookPrograms& programs) {
    return begins_with_ip(link).value_or(false) ? programs.raw_ip() : programs.ethernet;
}

/// A program that changes one filter often changes several, and replaces a qdisc by removing it and adding another: wait
/// for the last change.
constexpr std::chrono::milliseconds settle_time{100};
/// There is no notification of a TCX link that is detached.
constexpr std::chrono::seconds look_period{2};
/// The counters of NICs are behind by seconds, and some count a few frames of their own.
constexpr std::chrono::seconds count_period{10};
constexpr std::uint64_t least_unseen = 20;

/// Programs of any instance of this project. Those that share a priority do not hide packets from each other.
bool is_of_family(std::string_view program) {
    return program.starts_with("flowd_marker") || program.starts_with("flowd_meter");
}

bool is_of_family(const Filter& filter) {
    return filter.kind == "bpf" && is_of_family(filter.name);
}

bool exists(const Link& link) {
    char name[IF_NAMESIZE];
    return ::if_indextoname(static_cast<unsigned>(link.index), name) != nullptr;
}

}  // namespace

std::string Preceding::describe() const {
    const std::string where = std::string(" (") + name_of(direction) + ")";
    const std::string which = name.empty() ? "" : " '" + name + "'";
    if (hook == "tcx") return "TCX program " + std::to_string(program) + which + where;
    return "tc filter " + kind + which + " of priority " + std::to_string(priority) + where;
}

bool is_program(std::string_view kind, std::string_view name, std::string_view program) {
    return kind == "bpf" && (name == program || name.starts_with(std::string(program) + ":["));
}

Attachments::Attachments(Host& host, Purpose purpose) : host_(host), purpose_(std::move(purpose)) {}

Attachments::Changes Attachments::reconcile(const std::vector<Link>& wanted) {
    Changes changes;
    if (changes_) read_changes();  // earlier notifications do not concern the present attachments
    std::map<int, const Link*> by_index;
    for (const Link& link : wanted) by_index[link.index] = &link;
    for (auto it = attached_.begin(); it != attached_.end();) {
        if (const auto wanted_link = by_index.find(it->first); wanted_link != by_index.end()) {
            const bool renamed = it->second.link.name != wanted_link->second->name;
            it->second.link = *wanted_link->second;
            if (renamed) name_series(it->second);
            ++it;
            continue;
        }
        changes.detached.push_back(it->second.link);
        host_.info("no longer " + purpose_.doing + " on " + it->second.link.name +
                   ", which is gone or not chosen any more");
        detach(it->second);
        it = attached_.erase(it);
    }
    const bool was_busy = std::exchange(busy_, false);
    for (const Link& link : wanted) {
        if (attached_.contains(link.index)) continue;
        auto attached = attach(link);
        if (!attached) {
            const bool is_locked = attached.error().code == FLOWD_BUSY && locked_out_;  // an ingress qdisc is BUSY, too
            busy_ = busy_ || is_locked;
            if (!is_locked || !was_busy) changes.failures.push_back({link, std::move(attached).error()});
            continue;
        }
        name_series(*attached);
        if (auto kept = keep(*attached); !kept) host_.warning(link.name + ": " + kept.error().message);
        host_.info(purpose_.doing + " on " + link.name + " (" + (attached->on_clsact ? "clsact" : "tcx") + ")");
        attached_.emplace(link.index, *std::move(attached));
        changes.attached.push_back(link);
    }
    places_ = {};  // whose interfaces are gone
    remove_stale_pins();
    return changes;
}

Result<void> check_hardware(const Link& link) {
    if (begins_with_ip(link)) return {};
    return Error{FLOWD_UNSUPPORTED,
                 link.name + " is of hardware type " + std::to_string(link.hardware) + ", whose packets cannot be parsed",
                 "choose the interfaces below or above it"};
}

TcxPlaces places_on(const std::vector<Link>& links, std::vector<Direction> directions, Attach how) {
    std::vector<int> indexes;
    for (const Link& link : links)
        if (how != Attach::clsact && check_hardware(link)) indexes.push_back(link.index);
    return indexes.empty() ? TcxPlaces() : TcxPlaces(std::move(indexes), std::move(directions));
}

std::vector<Preceding> find_preceding(const Link& link, Direction direction, bool on_clsact) {
    std::vector<Preceding> found;
    if (const auto tcx = tcx_programs(link.index, direction)) {
        const auto ours = std::find_if(tcx->begin(), tcx->end(),
                                       [](std::uint32_t program) { return is_of_family(program_name(program)); });
        const bool goes_to_head = ours == tcx->end() && !on_clsact;
        for (auto program = tcx->begin(); program != ours && !goes_to_head; ++program)
            found.push_back({link, direction, "tcx", "bpf", program_name(*program), *program, 0});
    }
    const auto filters = on_clsact ? list_filters(link.index, direction) : std::vector<Filter>();
    if (!filters) return found;
    std::vector<Filter> theirs;
    std::copy_if(filters->begin(), filters->end(), std::back_inserter(theirs),
                 [](const Filter& filter) { return !is_of_family(filter); });
    const auto ours =
        std::find_if(filters->begin(), filters->end(), [](const Filter& filter) { return is_of_family(filter); });
    const std::uint16_t priority = ours != filters->end() ? ours->priority : free_priority(theirs);
    for (const Filter& filter : theirs) {
        if (filter.chain != 0 || filter.priority >= priority) continue;
        if (filter.kind != "bpf" && !found.empty() && found.back().priority == filter.priority) continue;
        found.push_back({link, direction, "clsact", filter.kind, filter.name, filter.program, filter.priority});
    }
    return found;
}

Result<Attachments::Attached> Attachments::attach(const Link& link) {
    if (auto parsed = check_hardware(link); !parsed) return std::move(parsed).error();
    Attached attached;
    attached.link = link;
    for (const HookPrograms& hook : purpose_.hooks) {
        auto program = program_for(link, hook);
        if (!program) return std::move(program).error().within(link.name);
        attached.programs.push_back(program_id(*program));
    }
    if (purpose_.how != Attach::clsact) {
        std::optional<Error> refused;
        for (std::size_t i = 0; i < purpose_.hooks.size() && !refused; ++i) {
            auto hook = attach_hook(attached, i, false);
            if (hook)
                attached.hooks.push_back(*std::move(hook));
            else
                refused = std::move(hook).error();
        }
        if (!refused) return attached;
        attached.hooks.clear();
        if (purpose_.how == Attach::tcx || refused->code != FLOWD_UNSUPPORTED) {
            Error error = std::move(*refused).within(link.name);
            if (error.code == FLOWD_UNSUPPORTED) error.hint = "use `attach: auto` or `attach: clsact`";
            return error;
        }
        host_.debug(link.name + ": no TCX on this kernel, taking clsact");
    }
    attached.on_clsact = true;
    auto done = attach_clsact(attached);
    // Another instance may have removed the qdisc meanwhile, because it had no filters.
    if (!done) done = attach_clsact(attached);
    if (!done) return std::move(done).error().within(link.name);
    return attached;
}

Result<void> Attachments::attach_clsact(Attached& attached) {
    const auto locked = lock_qdiscs();
    if (!locked) return locked.error();
    auto qdisc = look_at_qdisc(attached.link);
    if (!qdisc) return std::move(qdisc).error();
    attached.made_qdisc = qdisc->removed_with_filters;
    for (std::size_t i = 0; i < purpose_.hooks.size(); ++i) {
        auto hook = attach_hook(attached, i, qdisc->missing && i == 0);
        if (!hook) {
            if (qdisc->missing && i == 0) attached.made_qdisc = false;  // it was not added, or removed again
            remove(attached);
            return std::move(hook).error();
        }
        attached.hooks.push_back(*std::move(hook));
    }
    return {};
}

Result<Attachments::Hook> Attachments::attach_hook(const Attached& attached, std::size_t hook, bool with_qdisc) {
    const HookPrograms& programs = purpose_.hooks[hook];
    auto program = program_for(attached.link, programs);
    if (!program) return std::move(program).error();
    const int index = attached.link.index;
    if (!attached.on_clsact) {
        auto place = places_.take(index, programs.direction);
        if (place && place->replace(*program)) return Hook(*std::move(place));
        auto link = TcxLink::attach(*program, index, programs.direction);
        if (!link) return std::move(link).error();
        return Hook(*std::move(link));
    }
    if (!ownership_) {
        auto claimed = Ownership::claim();
        if (!claimed) return std::move(claimed).error();
        ownership_.emplace(*std::move(claimed));
    }
    auto filters = list_filters(index, programs.direction);
    if (!filters) return std::move(filters).error();
    std::erase_if(*filters, [](const Filter& filter) { return is_of_family(filter); });
    auto filter = ClsactFilter::attach(*program, index, programs.direction, ownership_->handle(attached.made_qdisc),
                                       free_priority(*filters), with_qdisc);
    if (!filter) return std::move(filter).error();
    return Hook(*std::move(filter));
}

Result<Attachments::Qdisc> Attachments::look_at_qdisc(const Link& link) const {
    const auto present = find_clsact(link.index);
    if (!present) return present.error();
    Qdisc qdisc{!*present, purpose_.remove_qdisc && !*present};
    if (!purpose_.remove_qdisc || !*present) return qdisc;
    // The handle of a filter of another instance, or of one that was killed, tells whether flowd-cpp created the qdisc.
    for (const auto direction : {Direction::ingress, Direction::egress}) {
        const auto filters = list_filters(link.index, direction);
        if (!filters) return filters.error();
        if (std::any_of(filters->begin(), filters->end(),
                        [](const Filter& filter) { return is_of_family(filter) && Ownership::made_qdisc(filter.handle); }))
            qdisc.removed_with_filters = true;
    }
    return qdisc;
}

void Attachments::name_series(Attached& attached) {
    attached.repairs_series = host_.counter(purpose_.series + "_hook_repairs_total",
                                            "Hooks that other programs had removed and that were attached again.",
                                            {{"interface", attached.link.name}});
    if (purpose_.seen)
        attached.unseen_series =
            host_.counter(purpose_.series + "_unseen_packets_total",
                          "Packets that an interface sent, by its own counter, while the program saw none.",
                          {{"interface", attached.link.name}});
    std::vector<Gauge> series;
    for (const HookPrograms& hook : purpose_.hooks)
        series.push_back(host_.gauge(purpose_.series + "_preceding_programs",
                                     "Third-party programs and filters that run before ours and may hide packets from it.",
                                     {{"interface", attached.link.name}, {"direction", name_of(hook.direction)}}));
    attached.preceding_series = std::move(series);
}

void Attachments::detach(Attached& attached) {
    if (!attached.on_clsact || !exists(attached.link)) return remove(attached);
    const auto locked = lock_qdiscs();
    if (!locked) host_.warning(attached.link.name + ": removing our hooks without the lock: " + locked.error().message);
    remove(attached);
}

Result<UniqueFd> Attachments::lock_qdiscs() {
    const bool waits = Clock::now() >= impatient_until_;
    auto locked = Ownership::lock_qdiscs(waits ? Ownership::qdisc_patience : std::chrono::milliseconds::zero());
    locked_out_ = !locked && locked.error().code == FLOWD_BUSY;
    if (!locked_out_)
        impatient_until_ = {};
    else if (waits)
        impatient_until_ = Clock::now() + std::chrono::minutes(1);
    return locked;
}

void Attachments::remove(Attached& attached) {
    if (attached.on_clsact && attached.made_qdisc && purpose_.remove_qdisc) {
        const std::string& name = attached.link.name;
        std::vector<PlacedFilter> ours;
        for (const Hook& hook : attached.hooks) ours.push_back(std::get<ClsactFilter>(hook).placed());
        auto removed = remove_with_qdisc(attached.link.index, ours);
        if (!removed) host_.debug(name + ": " + removed.error().message);
        if (removed && !*removed)
            host_.debug(name + ": other programs use the clsact qdisc that was created here: it is not removed");
        return leave(attached);
    }
    attached.hooks.clear();  // a pinned link is detached when its pin is removed
}

void Attachments::detach_all() {
    look_timer_.reset();
    count_timer_.reset();
    change_timer_.reset();
    change_watch_.reset();
    for (auto& [index, attached] : attached_) purpose_.kept_in.empty() ? detach(attached) : leave(attached);
    attached_.clear();
}

std::string Attachments::pin_of(int interface_index, std::size_t hook) const {
    return purpose_.kept_in + "/link_" + std::to_string(interface_index) + "_" + std::to_string(hook);
}

Result<void> Attachments::keep(Attached& attached) const {
    if (purpose_.kept_in.empty() || attached.on_clsact) return {};  // a filter needs no pin
    for (std::size_t i = 0; i < attached.hooks.size(); ++i)
        if (auto pinned = std::get<TcxLink>(attached.hooks[i]).pin(pin_of(attached.link.index, i)); !pinned) return pinned;
    return {};
}

void Attachments::leave(Attached& attached) {
    for (Hook& hook : attached.hooks)
        if (auto* const filter = std::get_if<ClsactFilter>(&hook)) filter->release();
    attached.hooks.clear();
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
        if (owner == attached_.end() || owner->second.on_clsact) std::filesystem::remove(entry.path(), error);
    }
}

Result<void> Attachments::guard() {
    auto changes = subscribe(RTMGRP_TC);
    if (!changes) return std::move(changes).error();
    change_timer_.reset();
    change_watch_.reset();
    changes_.emplace(*std::move(changes));
    auto watch = host_.watch(changes_->fd(), FLOWD_IO_READ, [this](std::uint32_t) {
        read_changes();
        auto later = host_.after(settle_time, [this] {
            look();
            (void)change_watch_.conditions(FLOWD_IO_READ);
        });
        if (!later) return look();
        change_timer_ = *std::move(later);
        (void)change_watch_.conditions(0);
    });
    if (!watch) return std::move(watch).error();
    change_watch_ = *std::move(watch);
    auto timer = host_.every(look_period, [this] { look(); });
    if (!timer) return std::move(timer).error();
    look_timer_ = *std::move(timer);
    look();
    if (!purpose_.seen) return {};
    auto counting = host_.every(count_period, [this] { compare_counts(); });
    if (!counting) return std::move(counting).error();
    count_timer_ = *std::move(counting);
    compare_counts();
    return {};
}

void Attachments::read_changes() {
    const auto received = changes_->receive([this](const nl::Message& message) {
        const auto* const qdisc = message.body<tcmsg>();
        // A qdisc that replaces it was not created here, and must not be removed here.
        if (message.type() != RTM_DELQDISC || qdisc == nullptr || qdisc->tcm_parent != TC_H_CLSACT) return;
        if (const auto attached = attached_.find(qdisc->tcm_ifindex); attached != attached_.end())
            attached->second.made_qdisc = false;
    });
    if (!received || received->lost) lost_changes_ = true;
}

void Attachments::look() {
    for (auto& [index, attached] : attached_) look(attached);
    lost_changes_ = false;
}

void Attachments::look(Attached& attached) {
    if (!exists(attached.link)) return;  // it has just been removed
    std::vector<std::size_t> missing;
    std::vector<Preceding> preceding;
    for (std::size_t i = 0; i < purpose_.hooks.size(); ++i) {
        const auto present = present_on(attached, i);
        if (!present) {
            host_.debug(attached.link.name + ": " + present.error().message);
            return;
        }
        if (!runs(attached, i, *present)) {
            missing.push_back(i);
            continue;
        }
        auto before = preceding_of(attached, i, *present);
        preceding.insert(preceding.end(), before.begin(), before.end());
    }
    if (!missing.empty()) return repair(attached, missing);
    attached.removed = false;
    show_preceding(attached, std::move(preceding));
}

Result<Attachments::Present> Attachments::present_on(const Attached& attached, std::size_t hook) const {
    const Direction direction = purpose_.hooks[hook].direction;
    auto tcx = tcx_programs(attached.link.index, direction);
    if (!tcx) return std::move(tcx).error();
    Present present{*std::move(tcx), {}};
    if (!attached.on_clsact) return present;
    auto filters = list_filters(attached.link.index, direction);
    if (!filters) return std::move(filters).error();
    present.filters = *std::move(filters);
    return present;
}

bool Attachments::runs(const Attached& attached, std::size_t hook, const Present& present) const {
    if (!attached.on_clsact)
        return std::find(present.tcx.begin(), present.tcx.end(), attached.programs[hook]) != present.tcx.end();
    return std::any_of(present.filters.begin(), present.filters.end(), [&](const Filter& filter) {
        return filter.is(std::get<ClsactFilter>(attached.hooks[hook]).filter());
    });
}

std::vector<Preceding> Attachments::preceding_of(const Attached& attached, std::size_t hook, const Present& present) {
    const Direction direction = purpose_.hooks[hook].direction;
    std::vector<Preceding> found;
    for (const std::uint32_t program : present.tcx) {
        if (program == attached.programs[hook]) return found;
        if (is_ours(program)) continue;
        found.push_back({attached.link, direction, "tcx", "bpf", program_name(program), program, 0});
    }
    if (!attached.on_clsact) return found;
    for (const Filter& filter : present.filters) {
        if (filter.is(std::get<ClsactFilter>(attached.hooks[hook]).filter())) return found;
        if (filter.chain != 0 || is_of_family(filter)) continue;
        // Kinds other than bpf also list the objects that contain their filters.
        if (filter.kind != "bpf" && !found.empty() && found.back().priority == filter.priority) continue;
        found.push_back({attached.link, direction, "clsact", filter.kind, filter.name, filter.program, filter.priority});
    }
    return found;
}

bool Attachments::is_ours(std::uint32_t tcx_program) {
    const auto known = known_programs_.find(tcx_program);
    if (known != known_programs_.end()) return known->second;
    const bool ours = is_of_family(program_name(tcx_program)) || is_held_here(tcx_program);
    if (known_programs_.size() >= 1024) known_programs_.clear();
    return known_programs_[tcx_program] = ours;
}

Result<void> Attachments::attach_missing(Attached& attached, const std::vector<std::size_t>& missing) {
    bool with_qdisc = false;
    const Result<UniqueFd> locked = attached.on_clsact ? lock_qdiscs() : UniqueFd();
    if (!locked) return locked.error();
    if (attached.on_clsact) {
        if (lost_changes_) attached.made_qdisc = false;
        auto qdisc = look_at_qdisc(attached.link);
        if (!qdisc) return std::move(qdisc).error();
        with_qdisc = qdisc->missing;
        attached.made_qdisc = attached.made_qdisc || qdisc->removed_with_filters;
    }
    for (const std::size_t i : missing) {
        auto hook = attach_hook(attached, i, with_qdisc);
        if (!hook) {
            if (with_qdisc) attached.made_qdisc = false;  // it was not added, or removed again
            return std::move(hook).error();
        }
        // The new filter has the same handle, priority and program: the old object must not remove it.
        if (auto* const filter = std::get_if<ClsactFilter>(&attached.hooks[i])) filter->release();
        attached.hooks[i] = *std::move(hook);
        with_qdisc = false;
    }
    return {};
}

void Attachments::repair(Attached& attached, const std::vector<std::size_t>& missing) {
    const std::string& name = attached.link.name;
    read_changes();
    auto done = attach_missing(attached, missing);
    if (!done) {
        if (std::exchange(attached.removed, true)) return;  // logged already
        Problem problem = Problem::from(std::move(done).error().within("another program removed our hook"));
        problem.found = name;
        return host_.report(problem);
    }
    if (auto kept = keep(attached); !kept) host_.warning(name + ": " + kept.error().message);
    attached.removed = false;
    attached.repairs += missing.size();
    attached.repairs_series.add(static_cast<double>(missing.size()));
    say(attached.said_repaired, name + ": another program removed our " + (attached.on_clsact ? "tc filter" : "TCX link") +
                                    ", which is attached again: " + purpose_.doing + " was interrupted");
}

void Attachments::show_preceding(Attached& attached, std::vector<Preceding> preceding) {
    for (std::size_t i = 0; i < purpose_.hooks.size(); ++i)
        attached.preceding_series[i].set(
            static_cast<double>(std::count_if(preceding.begin(), preceding.end(), [&](const Preceding& one) {
                return one.direction == purpose_.hooks[i].direction;
            })));
    for (const Preceding& one : preceding) {
        const std::string line = one.describe();
        if (std::any_of(attached.preceding.begin(), attached.preceding.end(),
                        [&](const Preceding& known) { return known.describe() == line; }))
            continue;
        say(attached.said_preceding, attached.link.name + ": the " + line + " runs before ours and may hide packets from " +
                                         purpose_.doing + ": it has to return TC_ACT_UNSPEC (TCX_NEXT)");
    }
    attached.preceding = std::move(preceding);
}

void Attachments::compare_counts() {
    const auto sent = sent_packets();
    if (!sent) return host_.debug(sent.error().message);
    for (auto& [index, attached] : attached_) {
        const auto by_interface = sent->find(index);
        const auto seen = purpose_.seen(attached.link);
        if (by_interface != sent->end() && seen) compare_counts(attached, {by_interface->second, *seen});
    }
}

void Attachments::compare_counts(Attached& attached, const Counts& now) {
    const auto before = attached.counts;
    // A removed program is another fault, and a driver that is reset counts from 0.
    if (attached.removed || !before || now.sent < before->sent || now.seen != before->seen) {
        attached.unseen = 0;
        attached.counts = now;
        return;
    }
    const std::uint64_t unseen = now.sent - before->sent;
    if (unseen < least_unseen) return;  // the interval goes on
    attached.unseen = unseen;
    attached.unseen_series.add(static_cast<double>(unseen));
    attached.counts = now;
    say(attached.said_unseen, attached.link.name + " has sent " + std::to_string(unseen) + " packets that " +
                                  purpose_.doing +
                                  " did not see: a program in front ends their "
                                  "processing, or they do not pass this hook");
}

void Attachments::say(Said& said, const std::string& line) {
    const auto now = Clock::now();
    if (said.last && now - *said.last < std::chrono::minutes(1)) {
        ++said.unsaid;
        return;
    }
    said.last = now;
    const std::uint64_t unsaid = std::exchange(said.unsaid, 0);
    host_.warning(line + (unsaid == 0 ? "" : " (" + std::to_string(unsaid) + " more since the last such line)"));
}

Result<std::uint32_t> Attachments::sweep() const {
    std::vector<Direction> directions;
    for (const HookPrograms& hook : purpose_.hooks) directions.push_back(hook.direction);
    return sweep_filters(host_, purpose_.role, purpose_.program_names, directions);
}

namespace {

Result<void> remove_leftovers(int interface_index, const std::vector<PlacedFilter>& left) {
    const auto locked = Ownership::lock_qdiscs();
    if (!locked) return locked.error();
    if (std::any_of(left.begin(), left.end(),
                    [](const PlacedFilter& one) { return Ownership::made_qdisc(one.filter.handle); })) {
        auto done = remove_with_qdisc(interface_index, left);
        return done ? Result<void>() : std::move(done).error();
    }
    for (const auto& [direction, filter] : left)
        if (auto done = remove_filter(interface_index, direction, filter); !done) return done;
    return {};
}

}  // namespace

Result<std::uint32_t> sweep_filters(Host& host, const std::string& role, const std::vector<std::string>& program_names,
                                    const std::vector<Direction>& directions) {
    auto found = links();
    if (!found) return std::move(found).error();
    std::uint32_t swept = 0;
    for (const Link& link : *found) {
        std::vector<PlacedFilter> left;
        for (const Direction direction : directions) {
            auto filters = list_filters(link.index, direction);
            if (!filters) return std::move(filters).error().within(link.name);
            for (Filter& filter : *filters) {
                const bool is_ours = std::any_of(program_names.begin(), program_names.end(), [&](const std::string& name) {
                    return is_program(filter.kind, filter.name, name);
                });
                if (is_ours && !Ownership::is_alive(filter.handle)) left.push_back({direction, std::move(filter)});
            }
        }
        if (left.empty()) continue;
        if (auto done = remove_leftovers(link.index, left); !done) return std::move(done).error().within(link.name);
        for (std::size_t i = 0; i < left.size(); ++i)
            host.warning(link.name + ": removed the tc filter of a " + role + " that was killed");
        swept += static_cast<std::uint32_t>(left.size());
    }
    return swept;
}

std::vector<Attachments::State> Attachments::states() const {
    std::vector<State> states;
    for (const auto& [index, attached] : attached_)
        states.push_back({attached.link,
                          attached.removed     ? "removed"
                          : attached.on_clsact ? "clsact"
                                               : "tcx",
                          attached.programs, attached.repairs, attached.preceding, attached.unseen});
    return states;
}

std::vector<Link> Attachments::links() const {
    std::vector<Link> links;
    for (const auto& [index, attached] : attached_) links.push_back(attached.link);
    return links;
}

void write_hook(json::Writer& object, const Attachments::State& state) {
    object.member("repairs", state.repairs);
    object.key("runsBefore").array();
    for (const Preceding& one : state.preceding) {
        object.object();
        object.member("hook", one.hook);
        object.member("direction", name_of(one.direction));
        object.member("kind", one.kind);
        object.member("name", one.name);
        if (one.program != 0) object.member("program", one.program);
        if (one.priority != 0) object.member("priority", std::uint64_t{one.priority});
        object.end();
    }
    object.end();
    object.member("unseen", state.unseen);
}

}  // namespace flowd::bpf
