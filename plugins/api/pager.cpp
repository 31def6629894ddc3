// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/pager.hpp"

#include <algorithm>

namespace flowd::api {
namespace {

constexpr int pauses_per_look = 4;
/// Looks that are shorter cost about as much as any other request.
constexpr std::chrono::milliseconds moment{1};

}  // namespace

http::Response Pager::look(const PageRequest& request) {
    const auto begin = Clock::now();
    http::Response response{.body = flow_page(host_.flows(), request)};
    const auto end = Clock::now();
    next_ = end - begin > moment ? end + pauses_per_look * (end - begin) : end;
    return response;
}

std::optional<http::Response> Pager::answer(const PageRequest& request, http::Reply& reply) {
    if (waiting_.empty() && Clock::now() >= next_) return look(request);
    ++waited_;
    waiting_.push_back({request, std::move(reply)});
    if (waiting_.size() == 1) wait_for_turn();
    return std::nullopt;
}

void Pager::wait_for_turn() {
    const auto left = std::max(next_ - Clock::now(), Clock::duration::zero());
    auto timer = host_.after(left, [this] {
        finish_front();
        if (!waiting_.empty()) wait_for_turn();
    });
    if (timer)
        turn_ = std::move(*timer);
    else
        stop();
}

void Pager::finish_front() {
    Waiting front = std::move(waiting_.front());
    waiting_.pop_front();
    finish_(std::move(front.reply), look(front.request));
}

void Pager::stop() {
    turn_.reset();
    while (!waiting_.empty()) finish_front();
}

}  // namespace flowd::api
