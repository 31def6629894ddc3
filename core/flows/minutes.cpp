// SPDX-License-Identifier: Apache-2.0
#include "core/flows/minutes.hpp"

#include <algorithm>

#include "flowd/event.hpp"

namespace flowd::core {

MinuteSum& MinuteSums::row(flowd_tag tag, std::uint8_t local) {
    const auto find = [&] {
        return std::find_if(rows_.begin(), rows_.end(),
                            [&](const MinuteSum& one) { return one.local == local && same_tag(one.tag, tag); });
    };
    auto found = find();
    if (found == rows_.end() && rows_.size() + 1 >= max_rows) {
        tag = {FLOWD_TAG_OTHER, FLOWD_TAG_OTHER};
        local = FLOWD_LOCAL_UNKNOWN;
        found = find();
    }
    if (found != rows_.end()) return *found;
    return rows_.emplace_back(MinuteSum{.tag = tag, .local = local});
}

void MinuteSums::add(const std::vector<MinuteSum>& rows) {
    for (const MinuteSum& more : rows) {
        MinuteSum& sum = row(more.tag, more.local);
        sum.started += more.started;
        sum.ended += more.ended;
        sum.bytes_sent += more.bytes_sent;
        sum.bytes_received += more.bytes_received;
    }
}

void Minutes::add(std::int64_t minute, const std::vector<MinuteSum>& rows) {
    if (rows.empty()) return;
    const std::lock_guard lock(mutex_);
    minutes_[minute].add(rows);
    ++changes_;
    while (minutes_.begin()->first <= minutes_.rbegin()->first - kept) minutes_.erase(minutes_.begin());
}

void Minutes::count(std::int64_t minute, const std::vector<MinuteSum>& rows) {
    add(minute, rows);
    if (listener_ && !rows.empty()) listener_(rows);
}

void Minutes::visit(std::int64_t from, const Visitor& visitor) const {
    for (;;) {
        std::vector<MinuteSum> rows;
        {
            const std::lock_guard lock(mutex_);
            const auto next = minutes_.lower_bound(from);
            if (next == minutes_.end()) return;
            from = next->first;
            rows = next->second.rows();
        }
        for (const MinuteSum& row : rows)
            if (!visitor(from, row)) return;
        ++from;
    }
}

std::uint64_t Minutes::changes() const {
    const std::lock_guard lock(mutex_);
    return changes_;
}

}  // namespace flowd::core
