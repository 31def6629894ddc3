// SPDX-License-Identifier: Apache-2.0
// lib/http/query.hpp: the parameters of a query, "limit=100&after=7". Pure functions, any thread.
#pragma once

#include <functional>
#include <string_view>

namespace flowd::http {

/// Calls `take(name, value)` for each parameter, as it was sent (percent-encoding is not undone), until it answers false.
/// Answers whether all were taken.
bool each_parameter(std::string_view query, const std::function<bool(std::string_view, std::string_view)>& take);

}  // namespace flowd::http
