// SPDX-License-Identifier: Apache-2.0
// lib/http/problem.hpp: problem details for HTTP APIs (RFC 9457). Any thread.
#pragma once

#include <functional>
#include <string_view>

#include "flowd/json.hpp"
#include "lib/http/message.hpp"

namespace flowd::http {

struct Details {
    std::string_view detail;                       ///< what went wrong with this request
    std::string_view hint = {};                    ///< a remedy
    std::function<void(json::Writer&)> more = {};  ///< further members
};

/// {"type":"about:blank","title":"Bad Request","status":400,"detail":...,"hint":...} as application/problem+json. The type
/// means that the problem has no meaning beyond its status.
[[nodiscard]] Response problem(unsigned status, const Details& details);

/// A temporary problem: with Retry-After of one second.
[[nodiscard]] Response passing_problem(unsigned status, const Details& details);

}  // namespace flowd::http
