// SPDX-License-Identifier: Apache-2.0
// flowd/problem.hpp: errors and warnings for the administrator, and how validate() reports them. Not thread-safe.
#pragma once

#include <string>
#include <utility>

#include "flowd/abi/base.h"
#include "flowd/result.hpp"
#include "flowd/sized.hpp"

namespace flowd {

/// An error or a warning for the administrator. The core adds file, line and column.
struct Problem {
    std::string option = {};  ///< relative to the instance: "collectors[1].port"; empty: the instance itself
    std::string message = {};
    std::string hint = {};   ///< one remedy
    std::string found = {};  ///< the offending value
    flowd_level level = FLOWD_LEVEL_ERROR;
    flowd_result result = FLOWD_INVALID;  ///< determines the daemon's exit code if the start fails

    /// The C struct; borrows from this object.
    [[nodiscard]] flowd_problem raw() const {
        flowd_problem problem{};
        problem.size = sizeof problem;
        problem.level = level;
        problem.result = result;
        problem.option = to_c(option);
        problem.found = to_c(found);
        problem.message = to_c(message);
        problem.hint = to_c(hint);
        return problem;
    }
    [[nodiscard]] static Problem from(const Error& error) {
        Problem problem;
        problem.message = error.message;
        problem.hint = error.hint;
        problem.option = error.option;
        problem.result = error.code < 0 ? error.code : static_cast<flowd_result>(FLOWD_ERROR);
        return problem;
    }
};

/// Receives the problems that validate() finds. Valid for that call.
class Problems {
  public:
    explicit Problems(const flowd_problems* sink) : sink_(sink) {}

    void add(const Problem& problem) {
        if (problem.level >= FLOWD_LEVEL_ERROR) ++errors_;
        if (sink_ == nullptr || sink_->report == nullptr) return;
        const flowd_problem raw = problem.raw();
        sink_->report(sink_, &raw);
    }
    void error(std::string option, std::string message, std::string hint = {}) {
        add({std::move(option), std::move(message), std::move(hint)});
    }
    void warning(std::string option, std::string message, std::string hint = {}) {
        add({std::move(option), std::move(message), std::move(hint), {}, FLOWD_LEVEL_WARNING, FLOWD_OK});
    }
    [[nodiscard]] int errors() const { return errors_; }

  private:
    const flowd_problems* sink_;
    int errors_ = 0;
};

}  // namespace flowd
