// SPDX-License-Identifier: Apache-2.0
// The exit code for a problem. Pure functions.
#pragma once

#include "core/base/exit_codes.hpp"
#include "core/config/problem.hpp"

namespace flowd::core {

[[nodiscard]] inline ExitCode exit_code_of(const Problem& problem) {
    switch (problem.category) {
        case Problem::Category::configuration:
            return ExitCode::configuration;
        case Problem::Category::module_missing:
            return ExitCode::module;
        case Problem::Category::system:
            return exit_code_of(problem.result);
    }
    return ExitCode::failure;
}

/// Decided by the first error; a wrong configuration precedes other errors. `ok` if there is no error.
[[nodiscard]] inline ExitCode exit_code_of(const Problems& problems) {
    const Problem* decisive = problems.decisive();
    return decisive == nullptr ? ExitCode::ok : exit_code_of(*decisive);
}

}  // namespace flowd::core
