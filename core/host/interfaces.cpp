// SPDX-License-Identifier: Apache-2.0
#include "core/host/interfaces.hpp"

#include "flowd/abi/ext/interfaces.h"

namespace flowd::core {

void Interfaces::publish(Holder holder, const std::string& instance, std::vector<Interface> interfaces) {
    for (Interface& one : interfaces) one.instance = instance;
    const std::lock_guard lock(mutex_);
    const auto before = published_.find(holder);
    if (before == published_.end() ? interfaces.empty() : before->second == interfaces) return;
    if (interfaces.empty())
        published_.erase(before);
    else
        published_[holder] = std::move(interfaces);
    watchers_.tell_all(holder);
    tell_marks();
}

void Interfaces::on_marks(std::function<void(std::uint32_t)> tell) {
    const std::lock_guard lock(mutex_);
    marks_ = std::move(tell);
    tell_marks();
}

void Interfaces::tell_marks() const {
    if (!marks_) return;
    std::uint32_t marks = 0;
    for (const auto& [holder, interfaces] : published_)
        for (const Interface& one : interfaces)
            if (one.use == FLOWD_INTERFACE_MARKS && one.index != 0) marks |= one.marks;
    marks_(marks);
}

void Interfaces::release(Holder holder) {
    const std::lock_guard lock(mutex_);
    watchers_.set(holder, {});
    if (published_.erase(holder) == 0) return;
    watchers_.tell_all();
    tell_marks();
}

std::vector<Interfaces::Interface> Interfaces::list() const {
    const std::lock_guard lock(mutex_);
    std::vector<Interface> all;
    for (const auto& [holder, interfaces] : published_) all.insert(all.end(), interfaces.begin(), interfaces.end());
    return all;
}

void Interfaces::watch(Holder holder, Watchers::Tell tell) {
    const std::lock_guard lock(mutex_);
    const bool others = published_.size() > published_.count(holder);
    if (tell && others) tell();
    watchers_.set(holder, std::move(tell));
}

}  // namespace flowd::core
