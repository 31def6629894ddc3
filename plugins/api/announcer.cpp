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

[[nodiscard]] const char* core_refusal(flowd_result result) {
    return result == FLOWD_LIMIT ? "a limit of live flows is reached: flows.maxLive, maxPerInstance or maxPerSource"
                                 : "the daemon does not take such an event";
}

/// The flag is set while it exists.
struct Inside {
    explicit Inside(bool& flag) : flag_(flag) { flag_ = true; }
    ~Inside() { flag_ = false; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    bool& flag_;
};

}  // namespace

void Announcer::settle(const Outbox::Settled& settled) {
    Task& task = waiting_[settled_].task;  // events are settled in order
    if (++task.settled == task.events.size()) ++settled_;
    switch (settled.result) {
        case FLOWD_OK:
            ++task.accepted;
            return;
        case FLOWD_LIMIT:
        case FLOWD_INVALID:
            if (task.each) {
                task.each->refused.push_back({task.each->places[settled.token], core_refusal(settled.result)});
                return;
            }
            task.limited = task.limited || settled.result == FLOWD_LIMIT;
            task.refused.push_back(settled.token);
            return;
        default:
            task.error = settled.result;
    }
}

http::Response Announcer::answer_to_each(Task& task) {
    auto& refused = task.each->refused;  // those of the core are behind those of the reader
    std::sort(refused.begin(), refused.end(), [](const auto& a, const auto& b) { return a.flow < b.flow; });
    std::string body;
    json::Writer writer(body);
    writer.object().member("accepted", task.accepted).key("refused").array();
    for (const RefusedFlow& one : refused) writer.object().member("flow", one.flow).member("detail", one.detail).end();
    writer.end().end();
    body.push_back('\n');
    return {.body = std::move(body)};
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
    if (task.each) return answer_to_each(task);
    if (task.refused.empty()) return {.body = std::move(task.accepted_body)};
    if (task.limited)
        return http::passing_problem(429, {.detail = "a limit of live flows is reached",
                                           .hint = "see flows.maxLive, maxPerInstance and maxPerSource",
                                           .more = more});
    return http::problem(422, {.detail = core_refusal(FLOWD_INVALID), .more = more});
}

std::optional<http::Response> Announcer::conclude(Task& task, flowd_result result, http::Reply& reply) {
    http::Response response = answer_to(task, result);
    if (task.wait == Wait::accepted || response.status != 200 || task.accepted == 0) return response;
    return delivery_.wait(std::move(response), task.accepted, task.arrived + taken_timeout_, reply);
}

std::optional<http::Response> Announcer::announce(std::vector<Event> events, std::string accepted, Wait wait, bool at_once,
                                                  http::Reply& reply) {
    Task task;
    task.wait = wait;
    task.events = std::move(events);
    task.accepted_body = std::move(accepted);
    return announce(std::move(task), at_once, reply);
}

std::optional<http::Response> Announcer::announce(EachFlow each, Wait wait, bool at_once, http::Reply& reply) {
    Task task;
    task.wait = wait;
    task.events = std::exchange(each.events, {});
    task.each = std::move(each);
    if (task.events.empty()) return answer_to_each(task);
    return announce(std::move(task), at_once, reply);
}

std::optional<http::Response> Announcer::announce(Task task, bool at_once, http::Reply& reply) {
    const bool must_wait = outbox_.full();  // requests are served in order
    task.weight = task.events.size() + (task.each ? task.each->refused.size() : 0);
    if (must_wait && (patience_.count() == 0 || weight_ + task.weight > most_waiting))
        return conclude(task, FLOWD_FULL, reply);
    weight_ += task.weight;
    const auto until = task.arrived + patience_;
    waiting_.push_back({std::move(task), std::move(reply), until});
    if (must_wait) {
        waiting_.back().task.waits = true;
        ++waited_;
    } else if (at_once || stopping_ || weight_ >= Outbox::batch) {
        go_on();
    } else if (!std::exchange(comes_back_, true)) {
        after_turn_([this] {
            comes_back_ = false;
            go_on();
        });
    }
    return std::nullopt;
}

void Announcer::offer() {
    while (offered_ < waiting_.size()) {
        Task& task = waiting_[offered_].task;
        for (; task.offered < task.events.size(); ++task.offered) {
            if (outbox_.full()) return;
            outbox_.add(task.events[task.offered].raw(), task.offered);  // borrows: the task outlives it in the outbox
        }
        ++offered_;
    }
    outbox_.flush();
}

void Announcer::go_on() {
    if (goes_on_) return;
    const Inside inside(goes_on_);
    while (true) {
        offer();
        if (waiting_.empty()) return impatience_.reset();
        if (settled_ > 0)
            finish_front(waiting_.front().task.error);
        else if (stopping_ || outbox_.reason() == FLOWD_STOPPED)  // on_room is not called in a stop
            give_up_front(FLOWD_STOPPED);
        else if (waiting_.front().until <= Clock::now() || waiting_.front().task.weight > most_waiting)
            give_up_front(outbox_.reason());
        else
            break;
    }
    for (Waiting& one : waiting_)
        if (!std::exchange(one.task.waits, true)) ++waited_;
    if (!impatience_) watch_patience();
}

void Announcer::finish_front(flowd_result result) {
    Waiting front = std::move(waiting_.front());
    waiting_.pop_front();
    offered_ -= offered_ > 0 ? 1 : 0;
    settled_ -= settled_ > 0 ? 1 : 0;
    weight_ -= front.task.weight;
    if (auto response = conclude(front.task, result, front.reply)) finish_(std::move(front.reply), std::move(*response));
}

void Announcer::give_up_front(flowd_result result) {
    outbox_.clear();
    for (std::size_t i = 0; i < std::min(offered_ + 1, waiting_.size()); ++i)  // the last one of these in part
        waiting_[i].task.offered = waiting_[i].task.settled;
    offered_ = 0;
    finish_front(result);
}

void Announcer::watch_patience() {
    const auto left = std::max(waiting_.front().until - Clock::now(), Clock::duration::zero());
    auto timer = host_.after(left, [this] {
        impatience_.reset();
        go_on();
    });
    if (timer)
        impatience_ = std::move(*timer);
    else
        host_.warning(timer.error().message);
}

void Announcer::stop() {
    stopping_ = true;
    impatience_.reset();
    delivery_.stop();
    outbox_.drain();
    go_on();
}

}  // namespace flowd::api
