// SPDX-License-Identifier: Apache-2.0
#include "core/flows/membership.hpp"

#include <algorithm>
#include <string_view>

namespace flowd::core {
namespace {

Error no_slot(std::string_view what, std::size_t most) {
    return Error{FLOWD_LIMIT, "no more than " + std::to_string(most) + " " + std::string(what) + " can run at a time"};
}

}  // namespace

bool Announcer::charge(std::uint64_t cap) {
    const std::uint64_t own = max_live_.load(std::memory_order_relaxed);
    if (own != 0) cap = own;
    if (live_.fetch_add(1, std::memory_order_relaxed) < cap || cap == 0) return true;
    discharge();
    return false;
}

void Announcer::add(const Tally& tally) {
    const auto sum = [](auto& to, const auto& from) {
        for (std::size_t i = 0; i < from.size(); ++i)
            if (from[i] != 0) to[i].fetch_add(from[i], std::memory_order_relaxed);
    };
    sum(offered_, tally.offered);
    sum(refused_, tally.refused);
    sum(effects_, tally.effects);
    accepted_.fetch_add(tally.accepted, std::memory_order_relaxed);
}

void Announcer::tell_room() {
    const std::lock_guard lock(callbacks_mutex_);
    if (on_room_) on_room_();
}

void Announcer::tell_marks(std::uint32_t epoch, std::size_t count) {
    const std::lock_guard lock(callbacks_mutex_);
    if (epoch_ == epoch && on_marks_) on_marks_(count);
}

void Announcer::set(const AnnouncerOptions& options, std::uint16_t name_number) {
    name_ = options.name;
    name_number_ = name_number;
    precedence_ = options.precedence;
    max_live_ = options.max_live;
}

void Announcer::set_callbacks(std::function<void()> on_room, std::function<void(std::size_t)> on_marks) {
    const std::lock_guard lock(callbacks_mutex_);
    on_room_ = std::move(on_room);
    on_marks_ = std::move(on_marks);
    ++epoch_;
}

void Announcer::reset_counters() {
    for (auto& value : offered_) value = 0;
    for (auto& value : refused_) value = 0;
    for (auto& value : effects_) value = 0;
    accepted_ = 0;
}

AnnouncerCounters Announcer::counters() const {
    AnnouncerCounters out;
    const auto copy = [](auto& to, const auto& from) { std::copy(from.begin(), from.end(), to.begin()); };
    out.name = name_;
    out.precedence = precedence_;
    copy(out.offered, offered_);
    out.accepted = accepted_;
    copy(out.refused, refused_);
    copy(out.effects, effects_);
    out.live = live_;
    return out;
}

std::uint16_t InstanceNames::number_of(const std::string& name) {
    for (std::size_t number = 0; number < used_; ++number)
        if (pages_[number / page_size][number % page_size] == name) return static_cast<std::uint16_t>(number);
    if (used_ == pages_.size() * page_size) return 0;  // the limit of distinct names is reached
    auto& page = pages_[used_ / page_size];
    if (!page) page = std::make_unique<std::string[]>(page_size);
    page[used_ % page_size] = name;
    return static_cast<std::uint16_t>(used_++);
}

bool Membership::is_taken(AnnouncerId id) const {
    return id.slot < announcers_.size() && announcers_[id.slot].taken_ && is_valid(id);
}

Result<AnnouncerId> Membership::add_announcer(AnnouncerOptions options) {
    for (const Announcer& slot : announcers_)
        if (slot.taken_ && slot.name_ == options.name)
            return Error{FLOWD_BUSY, "there is a plugin instance named " + options.name + " already"};
    const auto free =
        std::find_if(announcers_.begin(), announcers_.end(), [](const Announcer& slot) { return !slot.taken_; });
    if (free == announcers_.end()) return no_slot("plugin instances", announcers_.size());
    free->set_callbacks(std::move(options.on_room), std::move(options.on_marks));
    const std::lock_guard lock(registration_);
    free->set(options, names_.number_of(options.name));
    free->reset_counters();
    free->taken_ = true;
    return AnnouncerId{static_cast<std::uint32_t>(free - announcers_.begin()), ++free->generation_};
}

Result<void> Membership::replace_announcer(AnnouncerId id, AnnouncerOptions options) {
    if (!is_taken(id))
        return Error{FLOWD_NOT_FOUND, "the plugin instance to be replaced by " + options.name + " no longer exists"};
    Announcer& slot = announcers_[id.slot];
    slot.set_callbacks(std::move(options.on_room), std::move(options.on_marks));
    const std::lock_guard lock(registration_);
    slot.set(options, names_.number_of(options.name));
    return {};
}

bool Membership::retire_announcer(AnnouncerId id) {
    if (!is_taken(id)) return false;
    ++announcers_[id.slot].generation_;
    return true;
}

void Membership::free_announcer(std::uint32_t slot) {
    announcers_[slot].set_callbacks(nullptr, nullptr);
    const std::lock_guard lock(registration_);
    announcers_[slot].taken_ = false;
}

void Membership::drop_callbacks() {
    for (Announcer& slot : announcers_) slot.set_callbacks(nullptr, nullptr);
}

Result<unsigned> Membership::free_backend_slot() const {
    const auto free = std::find(backends_.begin(), backends_.end(), nullptr);
    if (free == backends_.end()) return no_slot("backend instances", backends_.size());
    return static_cast<unsigned>(free - backends_.begin());
}

void Membership::set_backend(unsigned slot, std::shared_ptr<DeliveryQueue> queue) {
    const std::lock_guard lock(registration_);
    backends_[slot].swap(queue);
}

std::uint64_t Membership::announcers_called(std::string_view name) const {
    const std::lock_guard lock(registration_);
    std::uint64_t slots = 0;
    for (std::size_t i = 0; i < announcers_.size(); ++i)
        if (announcers_[i].taken_ && announcers_[i].name_ == name) slots |= std::uint64_t{1} << i;
    return slots;
}

std::vector<AnnouncerCounters> Membership::announcer_counters() const {
    const std::lock_guard lock(registration_);
    std::vector<AnnouncerCounters> out;
    for (const Announcer& slot : announcers_)
        if (slot.taken_) out.push_back(slot.counters());
    return out;
}

}  // namespace flowd::core
