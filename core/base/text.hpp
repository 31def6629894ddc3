// SPDX-License-Identifier: Apache-2.0
// Text for messages. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flowd::core {

/// flowd::printable, which leaves line breaks.
[[nodiscard]] std::string printable(std::string_view text);

/// Arbitrary bytes as one line of ASCII: bytes that are not printable become \xNN, a backslash \\.
[[nodiscard]] std::string escaped(std::string_view bytes);

[[nodiscard]] bool is_utf8(std::string_view text);

/// 1 to `most` bytes: a lower-case letter, then lower-case letters, digits and characters of `further`.
[[nodiscard]] bool is_identifier(std::string_view text, std::size_t most, std::string_view further = {});

enum class Fraction { milliseconds, microseconds };

/// RFC 3339 in UTC; empty for times that are not after 1970-01-01 (0: never).
[[nodiscard]] std::string utc_text(std::int64_t unix_time_ns, Fraction fraction = Fraction::milliseconds);

}  // namespace flowd::core
