// SPDX-License-Identifier: Apache-2.0
// flowd/rfc3339.hpp: Unix time as text (RFC 3339). Pure functions, any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace flowd {

/// What the longest text needs: nanoseconds, and an offset as "+00:00".
inline constexpr std::size_t rfc3339_length = 35;

/// "2026-02-24T16:56:42.251384Z": UTC, with `digits` digits of a fraction, 0 to 9, rounded down. `zone` is how UTC is
/// written: "Z", or "+00:00" for readers that want an offset. Times before 1970 are written as 1970. The text is in
/// `buffer`.
inline std::string_view rfc3339(std::int64_t unix_time_ns, std::span<char, rfc3339_length> buffer, unsigned digits = 6,
                                std::string_view zone = "Z") {
    using namespace std::chrono;
    constexpr std::int64_t second = 1'000'000'000;
    const std::int64_t time = unix_time_ns < 0 ? 0 : unix_time_ns;
    const std::int64_t seconds = time / second;
    const year_month_day date(sys_days(days(seconds / 86400)));
    const auto of_day = static_cast<unsigned>(seconds % 86400);

    std::size_t length = 0;
    const auto put = [&](unsigned number, unsigned width) {
        for (unsigned i = width; i-- > 0; number /= 10) buffer[length + i] = static_cast<char>('0' + number % 10);
        length += width;
    };
    const auto put_text = [&](std::string_view text) {
        for (const char c : text.substr(0, rfc3339_length - length)) buffer[length++] = c;
    };
    put(static_cast<unsigned>(static_cast<int>(date.year())), 4);
    put_text("-");
    put(static_cast<unsigned>(date.month()), 2);
    put_text("-");
    put(static_cast<unsigned>(date.day()), 2);
    put_text("T");
    put(of_day / 3600, 2);
    put_text(":");
    put(of_day / 60 % 60, 2);
    put_text(":");
    put(of_day % 60, 2);
    if (digits > 9) digits = 9;
    if (digits > 0) {
        auto fraction = static_cast<unsigned>(time % second);
        for (unsigned i = digits; i < 9; ++i) fraction /= 10;
        put_text(".");
        put(fraction, digits);
    }
    put_text(zone);
    return {buffer.data(), length};
}

[[nodiscard]] inline std::string rfc3339(std::int64_t unix_time_ns, unsigned digits = 6) {
    char buffer[rfc3339_length];
    return std::string(rfc3339(unix_time_ns, buffer, digits));
}

}  // namespace flowd
