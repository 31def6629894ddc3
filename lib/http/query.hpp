// SPDX-License-Identifier: Apache-2.0
// lib/http/query.hpp: the parameters of a query, "limit=100&after=7". Pure functions, any thread.
#pragma once

#include <functional>
#include <string_view>

namespace flowd::http {

/// Calls `take(name, value)` for each parameter until it returns false. Percent-encoding (RFC 3986 section 2.1) is decoded
/// in the value, and left unchanged if it is malformed. Returns whether all calls returned true.
bool each_parameter(std::string_view query, const std::function<bool(std::string_view, std::string_view)>& take);

}  // namespace flowd::http
