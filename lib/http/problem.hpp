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
    std::string_view hint = {};                    ///< one thing to do about it
    std::function<void(json::Writer&)> more = {};  ///< further members
};

/// {"type":"about:blank","title":"Bad Request","status":400,"detail":...,"hint":...} as application/problem+json. The type
/// says that the problem means no more than its status.
[[nodiscard]] Response problem(unsigned status, const Details& details);

/// A problem that another try in a second may not have: with Retry-After.
[[nodiscard]] Response passing_problem(unsigned status, const Details& details);

}  // namespace flowd::http
