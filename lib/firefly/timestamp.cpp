// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/timestamp.hpp"

#include <algorithm>
#include <array>
#include <chrono>

namespace flowd::firefly {
namespace {

constexpr std::int64_t nanoseconds = 1'000'000'000;

/// Consumes text from the front; after a mistake all further calls fail.
class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text) {}

    [[nodiscard]] bool failed() const { return failed_; }
    [[nodiscard]] bool at_end() const { return text_.empty(); }
    [[nodiscard]] char peek() const { return text_.empty() ? '\0' : text_.front(); }

    char any_of(std::string_view allowed) {
        const char found = peek();
        // For so few characters, find() would call memchr, which takes longer.
        if (std::none_of(allowed.begin(), allowed.end(), [&](char one) { return one == found; })) {
            failed_ = true;
            return '\0';
        }
        text_.remove_prefix(1);
        return found;
    }
    unsigned digits(std::size_t count, unsigned minimum, unsigned maximum) {
        unsigned number = 0;
        if (leading_digits(count, number) != count || number < minimum || number > maximum) failed_ = true;
        return number;
    }
    std::int64_t fraction() {
        constexpr std::size_t most = 9;
        unsigned number = 0;
        const std::size_t count = leading_digits(most, number);
        if (count == 0) failed_ = true;
        std::int64_t fraction = number;
        for (std::size_t i = count; i < most; ++i) fraction *= 10;
        return fraction;
    }

  private:
    /// Consumes at most `most` digits. Returns how many there were.
    std::size_t leading_digits(std::size_t most, unsigned& number) {
        std::size_t count = 0;
        for (; count < most && count < text_.size() && text_[count] >= '0' && text_[count] <= '9'; ++count)
            number = number * 10 + static_cast<unsigned>(text_[count] - '0');
        text_.remove_prefix(count);
        return count;
    }

    std::string_view text_;
    bool failed_ = false;
};

}  // namespace

std::optional<std::int64_t> parse_timestamp(std::string_view text) {
    using namespace std::chrono;
    Reader reader(text);
    const unsigned y = reader.digits(4, 0, 9999);
    reader.any_of("-");
    const unsigned m = reader.digits(2, 1, 12);
    reader.any_of("-");
    const unsigned d = reader.digits(2, 1, 31);
    reader.any_of("Tt ");
    const unsigned hour = reader.digits(2, 0, 23);
    reader.any_of(":");
    const unsigned minute = reader.digits(2, 0, 59);
    reader.any_of(":");
    const unsigned second = reader.digits(2, 0, 60);
    std::int64_t fraction = 0;
    if (reader.peek() == '.') {
        reader.any_of(".");
        fraction = reader.fraction();
    }
    std::int64_t offset = 0;
    const char sign = reader.any_of("Zz+-");
    if (sign == '+' || sign == '-') {
        const unsigned offset_hours = reader.digits(2, 0, 23);
        if (reader.peek() == ':') reader.any_of(":");
        offset = (offset_hours * 60 + reader.digits(2, 0, 59)) * 60;
        if (sign == '-') offset = -offset;
    }
    if (reader.failed() || !reader.at_end()) return std::nullopt;

    const year_month_day date{year(static_cast<int>(y)), month(m), day(d)};
    if (!date.ok()) return std::nullopt;
    const std::int64_t days = sys_days(date).time_since_epoch().count();
    const std::int64_t seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset;
    constexpr std::int64_t last = sys_days(year(2262) / January / 1).time_since_epoch().count() * 86400;
    if (seconds < 0) return 0;
    return seconds < last ? seconds * nanoseconds + fraction : last * nanoseconds - 1;
}

std::optional<std::int64_t> parse_event_time(std::string_view text) {
    if (text.empty() || text.starts_with("0001-01-01T00:00:00")) return 0;
    const auto time = parse_timestamp(text);
    return time ? std::max<std::int64_t>(*time, 1) : time;
}

std::string_view print_timestamp(std::int64_t unix_ns, std::span<char, timestamp_length> buffer) {
    return rfc3339(unix_ns, buffer, 6, "+00:00");
}

std::string print_timestamp(std::int64_t unix_ns) {
    std::array<char, timestamp_length> buffer;
    return std::string(print_timestamp(unix_ns, buffer));
}

}  // namespace flowd::firefly
