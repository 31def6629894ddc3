// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/delivery_wait.hpp"

#include <algorithm>
#include <utility>

#include "lib/http/problem.hpp"

namespace flowd::api {
namespace {

[[nodiscard]] http::Response not_taken(unsigned status, std::string_view detail, std::size_t accepted) {
    return http::passing_problem(status,
                                 {.detail = detail,
                                  .hint = "accepted events will still reach the backends; sending them again does no harm",
                                  .more = [accepted](json::Writer& writer) { writer.member("accepted", accepted); }});
}

[[nodiscard]] http::Response stopped(std::size_t accepted) {
    return not_taken(503, "this instance stops before every backend has taken the events", accepted);
}

}  // namespace

std::optional<http::Response> DeliveryWait::wait(http::Response taken, std::size_t accepted, Clock::time_point until,
                                                 http::Reply& reply) {
    if (stopping_) return stopped(accepted);
    if (outstanding_.size() >= most_outstanding || bytes_ + taken.body.size() > most_bytes)
        return not_taken(503, "too many requests wait for the backends already", accepted);
    if (auto marked = delivery_.mark([this] { on_mark(); }); !marked) {
        if (marked.error().code == FLOWD_UNSUPPORTED)
            return http::problem(501, {.detail = "the daemon does not report when backends have taken events",
                                       .hint = "send the request without wait"});
        return marked.error().code == FLOWD_STOPPED ? stopped(accepted) : not_taken(503, marked.error().message, accepted);
    }
    ++waited_;
    bytes_ += taken.body.size();
    outstanding_.push_back({std::move(taken), accepted, until, std::move(reply)});
    if (waiting() == 1) watch_time();
    return std::nullopt;
}

http::Response DeliveryWait::take_response(Outstanding& one) {
    bytes_ -= one.taken.body.size();
    return std::exchange(one.taken, {});
}

void DeliveryWait::on_mark() {
    if (outstanding_.empty()) return;  // stopped
    Outstanding front = std::move(outstanding_.front());
    outstanding_.pop_front();
    if (late_ > 0)
        --late_;
    else
        finish_(std::move(front.reply), take_response(front));
}

void DeliveryWait::watch_time() {
    const auto left = std::max(outstanding_[late_].until - Clock::now(), Clock::duration::zero());
    auto timer = host_.after(left, [this] { on_time(); });
    if (timer)
        time_ = std::move(*timer);
    else
        host_.warning(timer.error().message);
}

void DeliveryWait::on_time() {
    for (const auto now = Clock::now(); waiting() > 0 && outstanding_[late_].until <= now;) {
        Outstanding& first = outstanding_[late_++];
        ++timed_out_;
        (void)take_response(first);
        finish_(std::move(first.reply), not_taken(504, "not every backend has taken the events in time", first.accepted));
    }
    if (waiting() > 0) watch_time();
}

void DeliveryWait::stop() {
    stopping_ = true;
    time_.reset();
    for (; waiting() > 0; ++late_) {
        Outstanding& first = outstanding_[late_];
        finish_(std::move(first.reply), stopped(first.accepted));
    }
    outstanding_.clear();
    bytes_ = 0;
    late_ = 0;
}

}  // namespace flowd::api
