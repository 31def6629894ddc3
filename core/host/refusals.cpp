// SPDX-License-Identifier: Apache-2.0
#include "core/host/refusals.hpp"

#include "core/base/clock.hpp"
#include "core/base/text.hpp"

namespace flowd::core {

bool Refusals::is_reason(std::string_view reason) {
    return is_identifier(reason, max_reason, "_");
}

void Refusals::add(std::string_view instance, std::string_view reason, std::string_view sender, std::string_view first) {
    const std::int64_t now = unix_ns();
    const std::lock_guard lock(mutex_);
    Refusal& place = ring_[added_++ % kept];
    place.time_ns = now;
    place.instance = instance;
    place.reason = reason;
    place.sender = sender.substr(0, max_text);
    place.first = first.substr(0, max_text);
}

std::vector<Refusals::Refusal> Refusals::list() const {
    const std::lock_guard lock(mutex_);
    std::vector<Refusal> all;
    for (std::uint64_t i = added_ < kept ? 0 : added_ - kept; i < added_; ++i) all.push_back(ring_[i % kept]);
    return all;
}

}  // namespace flowd::core
