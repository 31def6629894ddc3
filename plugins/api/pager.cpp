// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/pager.hpp"

#include <algorithm>

#include "lib/http/problem.hpp"

namespace flowd::api {
namespace {

constexpr int pauses_per_look = 4;
/// Looks that are shorter cost about as much as any other request.
constexpr std::chrono::milliseconds moment{1};

}  // namespace

http::Response Pager::look(const PageRequest& request) {
    const auto begin = now_();
    http::Response response{.body = page_(request)};
    const auto end = now_();
    next_ = end - begin > moment ? end + pauses_per_look * (end - begin) : end;
    return response;
}

std::optional<http::Response> Pager::answer(const PageRequest& request, http::Reply& reply) {
    if (waiting_.empty() && now_() >= next_) return look(request);
    if (stopping_ || waiting_.size() >= most_waiting) return turned_away();
    ++waited_;
    waiting_.push_back({request, std::move(reply), now_() + patience});
    if (waiting_.size() == 1) wait_for_turn();
    return std::nullopt;
}

http::Response Pager::turned_away() const {
    return http::passing_problem(503, {.detail = stopping_ ? "the daemon is stopping" : "too many pages are asked for",
                                       .hint = "ask again; larger pages are fewer"});
}

Pager::Waiting Pager::take_front() {
    Waiting front = std::move(waiting_.front());
    waiting_.pop_front();
    return front;
}

void Pager::wait_for_turn() {
    const auto left = std::min(next_, waiting_.front().until) - now_();
    auto timer = host_.after(std::max(left, Clock::duration::zero()), [this] { take_turn(); });
    if (timer) {
        turn_ = std::move(*timer);
        return;
    }
    host_.warning(timer.error().message);
    turn_all_away();
}

void Pager::take_turn() {
    while (!waiting_.empty() && !waiting_.front().reply.wanted()) waiting_.pop_front();
    if (waiting_.empty()) return;
    const auto now = now_();
    if (now < next_ && now < waiting_.front().until) return wait_for_turn();
    Waiting front = take_front();
    if (!waiting_.empty()) wait_for_turn();  // before the look, which may throw
    finish_(std::move(front.reply), now < next_ ? turned_away() : look(front.request));
}

void Pager::turn_all_away() {
    while (!waiting_.empty()) finish_(take_front().reply, turned_away());
}

void Pager::stop() {
    stopping_ = true;
    turn_.reset();
    turn_all_away();
}

}  // namespace flowd::api
