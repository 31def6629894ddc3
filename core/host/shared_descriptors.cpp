// SPDX-License-Identifier: Apache-2.0
#include "core/host/shared_descriptors.hpp"

namespace flowd::core {

void SharedDescriptors::tell(const std::string& name) const {
    if (const auto found = watchers_.find(name); found != watchers_.end()) found->second.tell_all();
}

void SharedDescriptors::erase(const std::string& name, Offers& offers, Holder holder) const {
    const bool was_latest = !offers.empty() && offers.back().holder == holder;
    std::erase_if(offers, [&](const Offer& offer) { return offer.holder == holder; });
    if (was_latest) tell(name);
}

Result<void> SharedDescriptors::offer(Holder holder, std::string_view name, int fd) {
    if (name.empty() || name.size() > 200)
        return Error{FLOWD_INVALID, "the name of a shared descriptor has 1 to 200 bytes"};
    auto copy = UniqueFd::duplicate(fd);
    if (!copy) return std::move(copy).error();
    const std::lock_guard lock(mutex_);
    const std::string key(name);
    Offers& offers = offers_[key];
    std::erase_if(offers, [&](const Offer& offer) { return offer.holder == holder; });
    offers.push_back({holder, std::move(*copy), ++last_generation_});
    tell(key);
    return {};
}

void SharedDescriptors::withdraw(Holder holder, std::string_view name) {
    const std::lock_guard lock(mutex_);
    const auto found = offers_.find(name);
    if (found == offers_.end()) return;
    erase(found->first, found->second, holder);
    if (found->second.empty()) offers_.erase(found);
}

void SharedDescriptors::release(Holder holder) {
    const std::lock_guard lock(mutex_);
    for (auto& [name, watchers] : watchers_) watchers.set(holder, {});
    std::erase_if(watchers_, [](const auto& entry) { return entry.second.empty(); });
    for (auto entry = offers_.begin(); entry != offers_.end();) {
        erase(entry->first, entry->second, holder);
        entry = entry->second.empty() ? offers_.erase(entry) : std::next(entry);
    }
}

void SharedDescriptors::watch(Holder holder, std::string_view name, Watchers::Tell tell) {
    const std::lock_guard lock(mutex_);
    if (tell && offers_.find(name) != offers_.end()) tell();
    Watchers& watchers = watchers_[std::string(name)];
    watchers.set(holder, std::move(tell));
    if (watchers.empty()) watchers_.erase(watchers_.find(name));
}

Result<SharedDescriptors::Obtained> SharedDescriptors::obtain(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto found = offers_.find(name);
    if (found == offers_.end()) return Error{FLOWD_NOT_FOUND, "no instance offers " + std::string(name)};
    auto copy = UniqueFd::duplicate(found->second.back().fd.get());
    if (!copy) return std::move(copy).error();
    return Obtained{std::move(*copy), found->second.back().generation};
}

}  // namespace flowd::core
