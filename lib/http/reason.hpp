// SPDX-License-Identifier: Apache-2.0
// lib/http/reason.hpp: the phrase of a status code (RFC 9110 section 15). Any thread.
#pragma once

#include <string>
#include <string_view>

namespace flowd::http {

/// "Not Found"; static text.
[[nodiscard]] std::string_view reason(unsigned status);
/// The same in the form of flowd_host.refused: "not_found".
[[nodiscard]] std::string reason_word(unsigned status);

}  // namespace flowd::http
