// SPDX-License-Identifier: Apache-2.0
// Text for messages. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flowd::core {

/// Without terminal commands: control characters become \xNN, except line breaks.
[[nodiscard]] std::string printable(std::string_view text);

/// Bytes of unknown kind as one line of ASCII: what is not printable becomes \xNN, a backslash \\.
[[nodiscard]] std::string escaped(std::string_view bytes);

[[nodiscard]] bool is_utf8(std::string_view text);

/// 1 to `most` bytes: a small letter, then small letters, digits and what is in `further`.
[[nodiscard]] bool is_identifier(std::string_view text, std::size_t most, std::string_view further = {});

enum class Fraction { milliseconds, microseconds };

/// RFC 3339 in UTC; empty for 0 and what is before 1970: never happened.
[[nodiscard]] std::string utc_text(std::int64_t unix_time_ns, Fraction fraction = Fraction::milliseconds);

}  // namespace flowd::core
