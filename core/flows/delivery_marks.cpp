// SPDX-License-Identifier: Apache-2.0
// Marks: an announcer is told when every backend has settled what was emitted before. A queue settles in the order in
// which events are pushed, so for each queue a mark is a place in it; what the queue has missed is pushed by the next walk
// through the flow table, whose end then is the place. Later marks have later places, so marks are passed in their order.
#include <algorithm>

#include "core/flows/bus_state.hpp"

namespace flowd::core {

flowd_result Bus::mark(AnnouncerId id) {
    if (id.generation == 0 || id.slot >= max_announcers) return FLOWD_STOPPED;
    Notices notices(*state_);
    return state_->mark(id, notices);
}

flowd_result BusState::mark(AnnouncerId id, Notices& notices) {
    const std::lock_guard lock(marks_mutex);
    const std::lock_guard shard_lock(shards[0].mutex);  // keeps backends and announcers in place
    if (!members.is_valid(id)) return FLOWD_STOPPED;
    marks.push_back({last_mark + 1, id.slot, members.announcer(id.slot).epoch()});
    ++last_mark;
    for_each_bit(shards[0].active, [&](unsigned slot) { members.backend(slot)->wait_for(last_mark); });
    for (const auto& queue : sealed) queue->wait_for(last_mark);
    notices.marks = true;
    return FLOWD_OK;
}

void BusState::collect_passed_marks(Notices& notices) {
    const std::lock_guard lock(marks_mutex);
    if (marks.empty()) return;
    std::uint64_t end = last_mark + 1;
    const auto look = [&end](const QueueCore& queue) {
        const std::lock_guard queue_lock(queue.mutex);
        if (!queue.waits.empty()) end = std::min(end, queue.waits.front().mark);
    };
    {
        const std::lock_guard shard_lock(shards[0].mutex);
        for_each_bit(shards[0].active, [&](unsigned slot) { look(*members.backend(slot)); });
    }
    forget_closed_queues();
    for (const auto& queue : sealed) look(*queue);
    for (; !marks.empty() && marks.front().number < end; marks.pop_front()) {
        const Mark& mark = marks.front();
        const auto same = [&mark](const Notices::Passed& own) { return own.slot == mark.slot && own.epoch == mark.epoch; };
        const auto found = std::find_if(notices.passed.begin(), notices.passed.end(), same);
        if (found != notices.passed.end())
            ++found->count;
        else
            notices.passed.push_back({mark.slot, mark.epoch, 1});
    }
}

void BusState::drop_marks(std::uint32_t slot) {
    const std::lock_guard lock(marks_mutex);
    marks.erase(std::remove_if(marks.begin(), marks.end(), [slot](const Mark& mark) { return mark.slot == slot; }),
                marks.end());
}

void BusState::forget(const std::shared_ptr<QueueCore>& handed_over, Notices& notices) {
    const std::lock_guard lock(marks_mutex);
    sealed.erase(std::remove(sealed.begin(), sealed.end(), handed_over), sealed.end());
    notices.marks = true;
}

void BusState::forget_closed_queues() {
    const auto over = [](const std::shared_ptr<QueueCore>& queue) {
        const std::lock_guard queue_lock(queue->mutex);
        return queue->closed || queue.use_count() == 1 || (queue->head == nullptr && queue->settled == queue->pushed);
    };
    sealed.erase(std::remove_if(sealed.begin(), sealed.end(), over), sealed.end());
}

}  // namespace flowd::core
