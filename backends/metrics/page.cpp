// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/page.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

namespace flowd::metrics {
namespace {

constexpr std::string_view total = "_total";

[[nodiscard]] std::string_view word_of(Type type, Format format) {
    switch (type) {
        case Type::counter:
            return "counter";
        case Type::gauge:
            return "gauge";
        case Type::histogram:
            return "histogram";
        case Type::unknown:
            break;
    }
    return format == Format::open_metrics ? "unknown" : "untyped";
}

void append_escaped(std::string& out, std::string_view text, bool with_quotes) {
    for (const char c : text) {
        if (c == '\\' || (c == '"' && with_quotes)) out.push_back('\\');
        if (c == '\n')
            out.append("\\n");
        else
            out.push_back(c);
    }
}

void append_number(std::string& out, double value) {
    if (std::isnan(value)) return void(out.append("NaN"));
    if (std::isinf(value)) return void(out.append(value > 0 ? "+Inf" : "-Inf"));
    std::array<char, 32> digits;
    // libc++ 14 lacks std::to_chars for floating point, which gives the shortest text.
    constexpr double exact = 9007199254740992.0;  // 2^53
    if (std::abs(value) < exact && value == std::floor(value)) {
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), static_cast<std::int64_t>(value)).ptr;
        out.append(digits.data(), end);
    } else {
        const int length = std::snprintf(digits.data(), digits.size(), "%.15g", value);
        out.append(digits.data(), static_cast<std::size_t>(length));
    }
}

/// As the label "le", which is canonical only as a float.
[[nodiscard]] std::string text_of_bound(double bound) {
    std::string text;
    append_number(text, bound);
    if (std::isfinite(bound) && bound == std::floor(bound)) text.append(".0");
    return text;
}

}  // namespace

PrintedLabels& PrintedLabels::add(std::string_view name, std::string_view value) {
    if (!text_.empty()) text_.push_back(',');
    text_.append(name).append("=\"");
    append_escaped(text_, value, true);
    text_.push_back('"');
    return *this;
}

void Page::begin(std::string_view name, std::string_view help, Type type) {
    name_ = name;
    help_ = help;
    type_ = type;
    head_is_printed_ = false;
    if (format_ == Format::text) return;
    // In OpenMetrics, the family of a counter x_total is x. If a gauge has that name, the type of the counter is unknown.
    if (type_ == Type::counter && name.ends_with(total)) {
        name.remove_suffix(total.size());
        if (names_.count(name) != 0)
            type_ = Type::unknown;
        else
            name_ = name;
    }
    names_.emplace(name_);
}

void Page::print_head() {
    if (head_is_printed_) return;
    head_is_printed_ = true;
    const bool open_metrics = format_ == Format::open_metrics;
    if (!help_.empty()) {
        text_.append("# HELP ").append(name_).append(" ");
        append_escaped(text_, help_, open_metrics);
        text_.push_back('\n');
    }
    text_.append("# TYPE ").append(name_).append(" ").append(word_of(type_, format_)).append("\n");
}

void Page::print_sample(std::string_view suffix, std::string_view labels, double value) {
    text_.append(name_).append(suffix);
    if (!labels.empty()) text_.append("{").append(labels).append("}");
    text_.push_back(' ');
    append_number(text_, value);
    text_.push_back('\n');
}

void Page::add(const PrintedLabels& labels, double value) {
    print_head();
    const bool was_cut = format_ == Format::open_metrics && type_ == Type::counter;
    print_sample(was_cut ? total : std::string_view(), labels.text(), value);
}

void Page::add(const PrintedLabels& labels, std::span<const double> bounds, std::span<const std::uint64_t> buckets,
               double sum) {
    print_head();
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
        count += buckets[i];
        PrintedLabels with_bound = labels;
        with_bound.add("le", text_of_bound(i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity()));
        print_sample("_bucket", with_bound.text(), static_cast<double>(count));
    }
    print_sample("_count", labels.text(), static_cast<double>(count));
    print_sample("_sum", labels.text(), sum);
}

void Page::end() {
    if (format_ == Format::open_metrics) text_.append("# EOF\n");
}

}  // namespace flowd::metrics
