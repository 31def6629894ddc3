// SPDX-License-Identifier: Apache-2.0
// flowd/detail/step.hpp: a call that may fail, behind the exception barrier.
#pragma once

#include <string>
#include <utility>

#include "flowd/host.hpp"
#include "flowd/problem.hpp"
#include "flowd/result.hpp"
#include "flowd/sized.hpp"

namespace flowd::detail {

inline flowd_result failure_code(const Error& error) {
    return error.code < 0 ? error.code : static_cast<flowd_result>(FLOWD_ERROR);
}

inline void report(const flowd_host* host, const Error& error) {
    const auto api = copy_sized<flowd_host>(host);
    if (api.report == nullptr) return;
    const Problem problem = Problem::from(error);
    const flowd_problem raw = problem.raw();
    api.report(host, &raw);
}

/// Runs `work`, which returns a Result<void>. An Error or an exception is reported and becomes the result.
template <typename Work>
flowd_result step(const flowd_host* host, const char* what, Work&& work) noexcept {
    flowd_result result = FLOWD_EXCEPTION;
    std::string thrown;
    const bool returned = guarded(host, what, [&] {
        try {
            const Result<void> done = work();
            if (!done) report(host, done.error());
            result = done ? static_cast<flowd_result>(FLOWD_OK) : failure_code(done.error());
        } catch (...) {
            thrown = current_exception_text();
            throw;
        }
    });
    if (returned) return result;
    guarded(host, "reporting an exception", [&] {
        report(host, Error{FLOWD_EXCEPTION, std::string(what) + " threw: " + thrown, "this is a fault of the module"});
    });
    return FLOWD_EXCEPTION;
}

}  // namespace flowd::detail
