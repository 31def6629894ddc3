// SPDX-License-Identifier: Apache-2.0
#include "core/flows/delivery_marks.hpp"

#include <algorithm>
#include <utility>

namespace flowd::core {

flowd_result DeliveryMarks::add(AnnouncerId id) {
    const std::lock_guard lock(mutex_);
    if (!members_.is_valid(id)) return FLOWD_STOPPED;
    marks_.push_back({last_ + 1, id.slot, members_.announcer(id.slot).epoch()});
    ++last_;
    members_.for_each_backend([this](const auto& queue) { queue->wait_for(last_); });
    for (const auto& queue : sealed_) queue->wait_for(last_);
    return FLOWD_OK;
}

void DeliveryMarks::drop(std::uint32_t slot) {
    const std::lock_guard lock(mutex_);
    std::erase_if(marks_, [slot](const Mark& mark) { return mark.slot == slot; });
}

std::vector<DeliveryMarks::Passed> DeliveryMarks::take_passed() {
    std::vector<Passed> passed;
    const std::lock_guard lock(mutex_);
    if (marks_.empty()) return passed;
    std::uint64_t end = last_ + 1;
    const auto look = [&end](const auto& queue) { end = std::min(end, queue->first_wait()); };
    members_.for_each_backend(look);
    forget_empty();
    std::for_each(sealed_.begin(), sealed_.end(), look);
    for (; !marks_.empty() && marks_.front().number < end; marks_.pop_front()) {
        const Mark& mark = marks_.front();
        const auto same = [&mark](const Passed& own) { return own.slot == mark.slot && own.epoch == mark.epoch; };
        const auto found = std::find_if(passed.begin(), passed.end(), same);
        if (found != passed.end())
            ++found->count;
        else
            passed.push_back({mark.slot, mark.epoch, 1});
    }
    return passed;
}

void DeliveryMarks::forget(const std::shared_ptr<DeliveryQueue>& sealed) {
    const std::lock_guard lock(mutex_);
    std::erase(sealed_, sealed);
}

void DeliveryMarks::forget_all() {
    const std::lock_guard lock(mutex_);
    for (const auto& queue : std::exchange(sealed_, {})) queue->detach();
}

void DeliveryMarks::forget_empty() {
    std::erase_if(sealed_, [](const auto& queue) { return queue.use_count() == 1 || queue->is_over(); });
}

}  // namespace flowd::core
