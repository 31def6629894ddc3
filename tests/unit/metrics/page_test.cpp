// SPDX-License-Identifier: Apache-2.0
// The text formats. tests/integration/test_metrics.py has them judged by Prometheus' own tools.
#include "backends/metrics/page.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace flowd::metrics {
namespace {

using ::testing::HasSubstr;

/// A counter with everything that has to be escaped.
std::string counter(Format format) {
    Page page(format);
    page.begin("flowd_x_total", "Two\nlines, a \\ and a \".", Type::counter);
    page.add(PrintedLabels().add("reason", "a \"b\"\n\\").add("edge", "1"), 12345678901.0);
    page.end();
    return page.text();
}

std::string histogram(Format format) {
    constexpr std::array bounds{0.25, 1.0};
    constexpr std::array<std::uint64_t, 3> buckets{1, 1, 1};
    Page page(format);
    page.begin("flowd_wait_seconds", "Waiting.", Type::histogram);
    page.add(PrintedLabels().add("edge", "a"), bounds, buckets, 1.5);
    page.end();
    return page.text();
}

TEST(Text, EscapesLabelsAndHelp) {
    EXPECT_EQ(counter(Format::text),
              "# HELP flowd_x_total Two\\nlines, a \\\\ and a \".\n# TYPE flowd_x_total counter\n"
              "flowd_x_total{reason=\"a \\\"b\\\"\\n\\\\\",edge=\"1\"} 12345678901\n");
}

TEST(Text, HasTheBucketsOfAHistogramInOrder) {
    EXPECT_EQ(histogram(Format::text),
              "# HELP flowd_wait_seconds Waiting.\n# TYPE flowd_wait_seconds histogram\n"
              "flowd_wait_seconds_bucket{edge=\"a\",le=\"0.25\"} 1\nflowd_wait_seconds_bucket{edge=\"a\",le=\"1.0\"} 2\n"
              "flowd_wait_seconds_bucket{edge=\"a\",le=\"+Inf\"} 3\nflowd_wait_seconds_count{edge=\"a\"} 3\n"
              "flowd_wait_seconds_sum{edge=\"a\"} 1.5\n");
}

TEST(Text, AFamilyOfUnknownTypeIsUntyped) {
    Page page(Format::text);
    page.begin("x", "", Type::unknown);
    page.add({}, 1);
    EXPECT_EQ(page.text(), "# TYPE x untyped\nx 1\n");
}

TEST(Text, AFamilyWithoutSamplesIsOmitted) {
    Page page(Format::text);
    page.begin("x", "X.", Type::gauge);
    page.begin("y", "Y.", Type::gauge);
    page.add({}, 1);
    page.end();
    EXPECT_EQ(page.text(), "# HELP y Y.\n# TYPE y gauge\ny 1\n");
}

TEST(OpenMetrics, NamesACounterWithoutItsSuffixAndEnds) {
    EXPECT_EQ(counter(Format::open_metrics),
              "# HELP flowd_x Two\\nlines, a \\\\ and a \\\".\n# TYPE flowd_x counter\n"
              "flowd_x_total{reason=\"a \\\"b\\\"\\n\\\\\",edge=\"1\"} 12345678901\n# EOF\n");
}

TEST(OpenMetrics, HasTheBucketsOfAHistogramInOrder) {
    EXPECT_EQ(histogram(Format::open_metrics), histogram(Format::text) + "# EOF\n");
}

TEST(OpenMetrics, KeepsLargeAndFractionalValues) {
    Page page(Format::open_metrics);
    page.begin("x", "X.", Type::gauge);
    for (const double value : {9007199254740991.0, 1e300, 0.1, -2.0, std::numeric_limits<double>::infinity()})
        page.add({}, value);
    page.end();
    EXPECT_THAT(page.text(), HasSubstr("\nx 9007199254740991\nx 1e+300\nx 0.1\nx -2\nx +Inf\n# EOF\n"));
}

TEST(OpenMetrics, ACounterWithTheNameOfAGaugeIsOfUnknownType) {
    Page page(Format::open_metrics);
    page.begin("x", "X.", Type::gauge);
    page.add({}, 1);
    page.begin("x_total", "All X.", Type::counter);
    page.add({}, 2);
    page.end();
    EXPECT_EQ(page.text(),
              "# HELP x X.\n# TYPE x gauge\nx 1\n# HELP x_total All X.\n# TYPE x_total unknown\nx_total 2\n# EOF\n");
}

TEST(OpenMetrics, OfNoSeriesIsTheEndMarker) {
    Page page(Format::open_metrics);
    page.end();
    EXPECT_EQ(page.text(), "# EOF\n");
}

}  // namespace
}  // namespace flowd::metrics
