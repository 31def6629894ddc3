// SPDX-License-Identifier: Apache-2.0
#include "core/flows/announcements.hpp"

#include <utility>

namespace flowd::core {

template <typename Function>
void Announcements::for_each(const Flow& flow, Function&& f) const {
    if (flow.first != nobody) f(flow.first, flow.sender, flow.first_flags);
    for (std::uint32_t at = flow.further; at != none; at = pool_[at].next)
        f(pool_[at].slot, pool_[at].sender, pool_[at].flags);
}

void Announcements::begin(Flow& flow, std::uint8_t slot, std::uint64_t sender, std::uint8_t flags) {
    flow.announcers = std::uint64_t{1} << slot;
    flow.first = slot;
    flow.sender = sender;
    flow.first_flags = flags;
    flow.flags = flags;
    flow.further = none;
}

void Announcements::reserve() {
    if (free_ != none) return;
    pool_.push_back({0, none, 0, 0});
    free_ = static_cast<std::uint32_t>(pool_.size() - 1);
}

bool Announcements::join(Flow& flow, std::uint8_t slot, std::uint64_t sender, std::uint8_t flags) {
    std::uint8_t* known = nullptr;
    if (flow.first == slot && flow.sender == sender) known = &flow.first_flags;
    for (std::uint32_t at = flow.further; at != none && !known; at = pool_[at].next)
        if (pool_[at].slot == slot && pool_[at].sender == sender) known = &pool_[at].flags;
    if (known) {
        *known = flags;
    } else {
        if (count(flow, slot) >= max_senders) return false;
        const std::uint32_t index = free_;
        free_ = pool_[index].next;
        pool_[index] = {sender, flow.further, slot, flags};
        flow.further = index;
        flow.announcers |= std::uint64_t{1} << slot;
    }
    evaluate_flags(flow);
    return known == nullptr;
}

void Announcements::leave(Flow& flow, std::uint8_t slot) {
    if (flow.first == slot) flow.first = nobody;
    for (std::uint32_t* link = &flow.further; *link != none;) {
        const std::uint32_t at = *link;
        if (pool_[at].slot == slot) {
            *link = pool_[at].next;
            give_back(at);
        } else {
            link = &pool_[at].next;
        }
    }
    flow.announcers &= ~(std::uint64_t{1} << slot);
    if (flow.announcers != 0) evaluate_flags(flow);
}

void Announcements::clear(Flow& flow) {
    while (flow.further != none) give_back(std::exchange(flow.further, pool_[flow.further].next));
    flow.first = nobody;
    flow.announcers = 0;
}

void Announcements::give_back(std::uint32_t index) {
    pool_[index].next = free_;
    free_ = index;
}

void Announcements::evaluate_flags(Flow& flow) const {
    flow.flags = 0xff;
    for_each(flow, [&](std::uint8_t, std::uint64_t, std::uint8_t flags) { flow.flags &= flags; });
}

bool Announcements::may_end(const Flow& flow, std::uint8_t slot, std::uint64_t sender) const {
    bool may = false;
    for_each(flow, [&](std::uint8_t own, std::uint64_t known, std::uint8_t) {
        may = may || (own == slot && (known == sender || known == 0 || sender == 0));
    });
    return may;
}

bool Announcements::has_sender(const Flow& flow, std::uint64_t sender) const {
    bool has = false;
    for_each(flow, [&](std::uint8_t, std::uint64_t known, std::uint8_t) { has = has || known == sender; });
    return has;
}

std::uint32_t Announcements::count(const Flow& flow) const {
    std::uint32_t sum = 0;
    for_each(flow, [&](std::uint8_t, std::uint64_t, std::uint8_t) { ++sum; });
    return sum;
}

std::uint32_t Announcements::count(const Flow& flow, std::uint8_t slot) const {
    std::uint32_t sum = 0;
    for_each(flow, [&](std::uint8_t own, std::uint64_t, std::uint8_t) { sum += own == slot ? 1 : 0; });
    return sum;
}

}  // namespace flowd::core
