// SPDX-License-Identifier: Apache-2.0
// lib/firefly/timestamp.hpp: RFC 3339 times as nanoseconds of Unix time. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "flowd/rfc3339.hpp"

namespace flowd::firefly {

/// Reads "2026-02-24T16:56:42.251384+00:00" and similar forms: `T`, `t` or a space between date and time, 0 to 9 digits of
/// a fraction, `Z`, `z`, +hh:mm or +hhmm. A leap second is read as the second that follows it. A time outside the years
/// 1970 to 2261 (what 63 bits of nanoseconds hold) is read as the nearest one inside: clocks that are not set have such
/// times. Empty for other texts: no offset, trailing text, a 30th of February.
[[nodiscard]] std::optional<std::int64_t> parse_timestamp(std::string_view text);

/// The same of a flow event, where 0 means unknown: an empty text, and 0001-01-01T00:00:00, Go's zero time, are unknown;
/// the first moment of 1970 is read as 1.
[[nodiscard]] std::optional<std::int64_t> parse_event_time(std::string_view text);

inline constexpr std::size_t timestamp_length = rfc3339_length;

/// Writes "2026-02-24T16:56:42.251384+00:00": UTC, microseconds (rounded down), always as an offset. The pattern of the
/// reference collector and the firefly schema both accept this form. Times before 1970 are written as 1970.
std::string_view print_timestamp(std::int64_t unix_ns, std::span<char, timestamp_length> buffer);
[[nodiscard]] std::string print_timestamp(std::int64_t unix_ns);

}  // namespace flowd::firefly
