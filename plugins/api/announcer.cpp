// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/announcer.hpp"

#include <algorithm>
#include <utility>

#include "lib/http/problem.hpp"

namespace flowd::api {
namespace {

/// How many refused events a response lists by position.
constexpr std::size_t most_listed = 10;

[[nodiscard]] const char* reason_of(flowd_result result) {
    if (result == FLOWD_FULL) return "the queues of the backends are full";
    if (result == FLOWD_STOPPED) return "the daemon is stopping";
    return "the daemon could not take it";
}

}  // namespace

flowd_result Announcer::try_to_announce(Task& task) {
    current_ = &task;
    for (; task.offered < task.events.size() && !outbox_.full(); ++task.offered)
        outbox_.add(task.events[task.offered].raw(), task.offered);  // borrows: the task outlives it in the outbox
    outbox_.flush();
    if (!outbox_.full()) return task.error;
    return stopping_ ? flowd_result{FLOWD_STOPPED} : outbox_.reason();  // on_room is not called in a stop
}

void Announcer::settle(const Outbox::Settled& settled) {
    switch (settled.result) {
        case FLOWD_OK:
            ++current_->accepted;
            return;
        case FLOWD_LIMIT:
        case FLOWD_INVALID:
            current_->limited = current_->limited || settled.result == FLOWD_LIMIT;
            current_->refused.push_back(settled.token);
            return;
        default:
            current_->error = settled.result;
    }
}

http::Response Announcer::answer_to(Task& task, flowd_result result) {
    const auto more = [&task](json::Writer& writer) {
        writer.member("accepted", task.accepted);
        if (task.refused.empty()) return;
        writer.member("refused", task.refused.size()).key("refusedAt").array();
        for (std::size_t i = 0; i < std::min(task.refused.size(), most_listed); ++i) writer.value(task.refused[i]);
        writer.end();
    };
    if (result != FLOWD_OK) {
        if (result == FLOWD_FULL) ++full_;
        return http::passing_problem(503, {.detail = reason_of(result),
                                           .hint = "send it again; what was accepted before may be sent twice without harm",
                                           .more = more});
    }
    if (task.refused.empty()) return {.body = std::move(task.accepted_body)};
    if (task.limited)
        return http::passing_problem(429, {.detail = "a limit of live flows is reached",
                                           .hint = "see flows.maxLive, maxPerInstance and maxPerSource",
                                           .more = more});
    return http::problem(422, {.detail = "the daemon does not take such an event", .more = more});
}

std::optional<http::Response> Announcer::conclude(Task& task, flowd_result result, http::Reply& reply) {
    http::Response response = answer_to(task, result);
    if (task.wait == Wait::accepted || response.status != 200) return response;
    return delivery_.wait(std::move(response), task.accepted, task.arrived + taken_timeout_, reply);
}

std::optional<http::Response> Announcer::announce(std::vector<Event> events, std::string accepted, Wait wait,
                                                  http::Reply& reply) {
    Task task;
    task.wait = wait;
    task.events = std::move(events);
    task.accepted_body = std::move(accepted);
    const bool is_first = waiting_.empty();  // requests are served in order
    const flowd_result result = is_first ? try_to_announce(task) : flowd_result{FLOWD_FULL};
    const std::size_t left = task.events.size() - task.offered + (is_first ? outbox_.waiting() : 0);
    const bool may_wait = (!is_first || outbox_.full()) && result != FLOWD_STOPPED;
    if (!may_wait || patience_.count() == 0 || waiting_events_ + left > most_waiting) {
        if (is_first) outbox_.clear();
        return conclude(task, result, reply);
    }
    ++waited_;
    waiting_events_ += task.events.size();
    const auto until = task.arrived + patience_;
    waiting_.push_back({std::move(task), std::move(reply), until});
    if (!is_first) return std::nullopt;
    current_ = &waiting_.front().task;
    watch_patience();
    return std::nullopt;
}

void Announcer::go_on() {
    while (!waiting_.empty()) {
        const flowd_result result = try_to_announce(waiting_.front().task);
        if (outbox_.full() && result != FLOWD_STOPPED) return;  // go_on() is called again when there is room
        finish_front(result);
    }
    impatience_.reset();
}

void Announcer::finish_front(flowd_result result) {
    outbox_.clear();
    Waiting front = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_events_ -= front.task.events.size();
    if (auto response = conclude(front.task, result, front.reply)) finish_(std::move(front.reply), std::move(*response));
}

void Announcer::watch_patience() {
    const auto left = std::max(waiting_.front().until - Clock::now(), Clock::duration::zero());
    auto timer = host_.after(left, [this] { lose_patience(); });
    if (timer)
        impatience_ = std::move(*timer);
    else
        host_.warning(timer.error().message);
}

void Announcer::lose_patience() {
    for (; !waiting_.empty() && waiting_.front().until <= Clock::now(); go_on()) finish_front(outbox_.reason());
    if (!waiting_.empty()) watch_patience();
}

void Announcer::stop() {
    stopping_ = true;
    impatience_.reset();
    delivery_.stop();
    outbox_.drain();
    go_on();
}

}  // namespace flowd::api
