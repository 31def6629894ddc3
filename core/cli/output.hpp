// SPDX-License-Identifier: Apache-2.0
// Output of commands: results on one stream, errors on the other. One thread.
#pragma once

#include <iosfwd>
#include <string_view>

#include "core/base/exit_codes.hpp"
#include "core/control/protocol.hpp"
#include "flowd/result.hpp"

namespace flowd::core::cli {

struct Output {
    std::ostream& out;
    std::ostream& err;
    bool json = false;
    bool colours = false;

    /// Prints the result of a command: JSON with --json, otherwise text.
    void answer(std::string_view json_text) const;
    /// Prints "flowd-cpp: message" and the hint. Returns `code`.
    ExitCode fail(ExitCode code, std::string_view message, std::string_view hint = {}) const;
    ExitCode fail(const Error& error) const { return fail(exit_code_of(error.code), error.message, error.hint); }
    /// Prints the reply of the daemon. Returns its code.
    ExitCode reply(const control::Reply& reply) const;
};

}  // namespace flowd::core::cli
