// SPDX-License-Identifier: Apache-2.0
#include "backends/view/answers.hpp"

#include <memory>
#include <utility>

#include "backends/view/security.hpp"
#include "lib/http/problem.hpp"

namespace flowd::view {
namespace {

constexpr std::size_t most_waiting = 256;

[[nodiscard]] http::Response unanswered(const Error& error) {
    return secured(error.code == FLOWD_UNSUPPORTED ? http::problem(501, {.detail = error.message})
                                                   : http::passing_problem(503, {.detail = error.message}));
}

[[nodiscard]] http::Response response_of(flowd_result result, std::string_view answer) {
    // An error has the form {"error":...,"hint":...} of the command line.
    const unsigned status = result >= 0 ? 200 : result == FLOWD_INVALID ? 400 : 500;
    return secured({.status = status, .body = std::string(answer)});
}

}  // namespace

void Answers::status(http::Reply reply) {
    if (!status_.empty() && Clock::now() - status_time_ < std::chrono::seconds(1))
        return reply(response_of(FLOWD_OK, status_));
    if (waiting_.size() >= most_waiting) return reply(unanswered({FLOWD_LIMIT, "too many requests wait for the daemon"}));
    waiting_.push_back(std::move(reply));
    if (waiting_.size() > 1) return;
    const auto asked = requests_.send({"status"}, [this](flowd_result result, std::string_view answer) {
        if (result >= 0) {
            status_ = answer;
            status_time_ = Clock::now();
        }
        for (http::Reply& one : std::exchange(waiting_, {})) one(response_of(result, answer));
    });
    if (!asked)
        for (http::Reply& one : std::exchange(waiting_, {})) one(unanswered(asked.error()));
}

void Answers::ask(const std::vector<std::string>& words, http::Reply reply) {
    const auto kept = std::make_shared<http::Reply>(std::move(reply));
    const auto asked = requests_.send(
        words, [kept](flowd_result result, std::string_view answer) { (*kept)(response_of(result, answer)); });
    if (!asked) (*kept)(unanswered(asked.error()));
}

}  // namespace flowd::view
