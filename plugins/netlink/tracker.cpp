// SPDX-License-Identifier: Apache-2.0
#include "plugins/netlink/tracker.hpp"

#include <algorithm>

namespace flowd::netlink {

Tracked* Tracker::find(std::uint64_t cookie) {
    const auto found = by_cookie_.find(cookie);
    return found == by_cookie_.end() ? nullptr : &found->second;
}

std::uint64_t Tracker::holder(const flowd_key& key) const {
    const auto found = by_tuple_.find(key);
    return found == by_tuple_.end() ? 0 : found->second;
}

const Tracked* Tracker::announced_with(const flowd_key& key) const {
    const auto found = by_cookie_.find(holder(key));
    return found == by_cookie_.end() ? nullptr : &found->second;
}

bool Tracker::knows(const flowd_key& key) const {
    return std::any_of(by_cookie_.begin(), by_cookie_.end(), [&](const auto& entry) {
        return !entry.second.announced && entry.second.missed == 0 && KeyEqual()(entry.second.key, key);
    });
}

Tracked* Tracker::add(std::uint64_t cookie, const Tracked& connection) {
    if (by_tuple_.size() >= most_ || by_cookie_.size() >= 2 * most_) return nullptr;
    Tracked& added = by_cookie_[cookie] = connection;
    if (connection.announced) by_tuple_[connection.key] = cookie;
    return &added;
}

void Tracker::forget_tuple(std::uint64_t cookie, const Tracked& connection) {
    const auto found = by_tuple_.find(connection.key);
    if (found != by_tuple_.end() && found->second == cookie) by_tuple_.erase(found);
}

void Tracker::erase(std::uint64_t cookie) {
    const auto found = by_cookie_.find(cookie);
    if (found == by_cookie_.end()) return;
    forget_tuple(cookie, found->second);
    by_cookie_.erase(found);
}

void Tracker::silence(std::uint64_t cookie) {
    // What is remembered takes no room from what is announced.
    if (by_cookie_.size() >= most_ + most_ / 2) return erase(cookie);
    if (Tracked* const connection = find(cookie)) {
        forget_tuple(cookie, *connection);
        connection->announced = false;
    }
}

void Tracker::sweep(const std::function<bool(std::uint64_t, Tracked&)>& visitor) {
    for (auto it = by_cookie_.begin(); it != by_cookie_.end();) {
        if (visitor(it->first, it->second)) {
            ++it;
        } else {
            forget_tuple(it->first, it->second);
            it = by_cookie_.erase(it);
        }
    }
}

}  // namespace flowd::netlink
