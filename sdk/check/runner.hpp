// SPDX-License-Identifier: Apache-2.0
// Runs checks, each in a process of its own with a time limit. Main thread only.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "sdk/check/check.hpp"
#include "sdk/check/subject.hpp"

namespace flowd::check {

struct Ran {
    std::string name;  ///< "loads", or "stop-twice backend/firefly"
    std::string promise;
    Outcome outcome;
    std::chrono::milliseconds took{};
};

struct Plan {
    Check check;
    Subject::Target target;
    [[nodiscard]] std::string name() const;
};

/// The whole suite for a module, as far as its note tells what it holds; `filter` is a shell pattern on names or their
/// first word, empty: all.
[[nodiscard]] std::vector<Plan> plan(const Subject::Target& target, const std::string& filter);

[[nodiscard]] Ran run(const Plan& plan, std::chrono::milliseconds limit);

/// Runs all in turn. After a check that found that the module does not load, or that a component has no options that it
/// takes, the others of the module or component are not run: they are skipped without a message. `each` is called after
/// each check.
[[nodiscard]] std::vector<Ran> run(const std::vector<Plan>& plans, std::chrono::milliseconds limit,
                                   const std::function<void(const Ran&)>& each);

}  // namespace flowd::check
