// SPDX-License-Identifier: Apache-2.0
// Parses numbers, durations and sizes. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flowd::core {

enum class ScalarError {
    none,
    form,      ///< the syntax is wrong
    overflow,  ///< the value does not fit 64 bits
    no_unit,   ///< a number without a unit where one is required
};

template <typename T>
struct Scalar {
    T value{};
    ScalarError error = ScalarError::none;
    [[nodiscard]] bool ok() const { return error == ScalarError::none; }
};

/// true, false, yes, no, on, off, case-insensitive (YAML 1.1 and 1.2).
[[nodiscard]] std::optional<bool> parse_boolean(std::string_view text);
/// Decimal, or hexadecimal after 0x. No leading zeros: some parsers read them as octal.
[[nodiscard]] Scalar<std::int64_t> parse_integer(std::string_view text);
/// Decimal, with point and exponent; finite.
[[nodiscard]] Scalar<double> parse_number(std::string_view text);
/// Nanoseconds: "3s", "250ms", "1h30m", "1.5 min", or a bare number in `bare_unit` (empty: only 0 may be bare).
/// Units: ns, us, µs, ms, s, m, min, h, d.
[[nodiscard]] Scalar<std::int64_t> parse_duration(std::string_view text, std::string_view bare_unit);
/// Bytes: "4 MiB", "64kB", or a bare number. Units: B, kB, MB, GB, TB, KiB, MiB, GiB, TiB.
[[nodiscard]] Scalar<std::int64_t> parse_size(std::string_view text);
/// Nanoseconds in one of the units above; empty for an unknown unit.
[[nodiscard]] std::optional<std::int64_t> duration_unit(std::string_view unit);

/// The shortest exact form with one unit: "90s", "1h", "64 MiB".
[[nodiscard]] std::string duration_text(std::int64_t nanoseconds);
[[nodiscard]] std::string size_text(std::int64_t bytes);
/// The shortest text that is parsed to the same value.
[[nodiscard]] std::string number_text(double number);

}  // namespace flowd::core
