// SPDX-License-Identifier: Apache-2.0
#include "core/service/shared_descriptors.hpp"

#include <algorithm>

namespace flowd::core {

void SharedDescriptors::erase(Offers& offers, Holder holder) {
    offers.erase(std::remove_if(offers.begin(), offers.end(), [&](const Offer& offer) { return offer.holder == holder; }),
                 offers.end());
}

Result<void> SharedDescriptors::offer(Holder holder, std::string_view name, int fd) {
    if (name.empty() || name.size() > 200)
        return Error{FLOWD_INVALID, "the name of a shared descriptor has 1 to 200 bytes"};
    auto copy = UniqueFd::duplicate(fd);
    if (!copy) return std::move(copy).error();
    const std::lock_guard lock(mutex_);
    Offers& offers = offers_[std::string(name)];
    erase(offers, holder);
    offers.push_back({holder, std::move(*copy), ++last_generation_});
    return {};
}

void SharedDescriptors::withdraw(Holder holder, std::string_view name) {
    const std::lock_guard lock(mutex_);
    const auto found = offers_.find(name);
    if (found == offers_.end()) return;
    erase(found->second, holder);
    if (found->second.empty()) offers_.erase(found);
}

void SharedDescriptors::release(Holder holder) {
    const std::lock_guard lock(mutex_);
    for (auto entry = offers_.begin(); entry != offers_.end();) {
        erase(entry->second, holder);
        entry = entry->second.empty() ? offers_.erase(entry) : std::next(entry);
    }
}

Result<SharedDescriptors::Obtained> SharedDescriptors::obtain(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto found = offers_.find(name);
    if (found == offers_.end()) return Error{FLOWD_NOT_FOUND, "nobody offers " + std::string(name)};
    auto copy = UniqueFd::duplicate(found->second.back().fd.get());
    if (!copy) return std::move(copy).error();
    return Obtained{std::move(*copy), found->second.back().generation};
}

}  // namespace flowd::core
