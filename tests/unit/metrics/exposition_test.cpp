// SPDX-License-Identifier: Apache-2.0
// The formats, as a scraper asks for them. tests/integration/test_metrics.py has them judged by Prometheus' own tools.
#include "backends/metrics/exposition.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "backends/metrics/families.hpp"

namespace flowd::metrics {
namespace {

using prometheus::MetricType;
using ::testing::HasSubstr;

TEST(Negotiation, OpenMetricsIsSelectedByTheAcceptHeader) {
    // What Prometheus 2 and 3 send.
    EXPECT_EQ(format_of("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
              Format::open_metrics);
    EXPECT_EQ(format_of("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;q=0.4"), Format::text);
    EXPECT_EQ(format_of("application/openmetrics-text;q=0"), Format::text);
    EXPECT_EQ(format_of("application/openmetrics-text; version=2.0.0"), Format::text) << "it is not known yet";
    EXPECT_EQ(format_of("*/*"), Format::text);
    EXPECT_EQ(format_of(""), Format::text);
    EXPECT_EQ(format_of("Application/OpenMetrics-Text ; Q=0.9 , text/plain ; q=0.3"), Format::open_metrics);
}

TEST(Negotiation, AMalformedWeightIsIgnored) {
    for (const char* weight : {"2", "-1", "0,5", "1e3", "x", "", "0.12345"})
        EXPECT_EQ(format_of("text/plain;q=0.1, application/openmetrics-text;q=" + std::string(weight)), Format::text)
            << weight;
}

TEST(Negotiation, GzipIsSelectedByTheAcceptEncodingHeader) {
    EXPECT_TRUE(accepts_gzip("gzip"));
    EXPECT_TRUE(accepts_gzip("deflate, GZIP;q=0.5"));
    EXPECT_TRUE(accepts_gzip("*"));
    EXPECT_FALSE(accepts_gzip("gzip;q=0"));
    EXPECT_FALSE(accepts_gzip("*, gzip;q=0.000"));
    EXPECT_FALSE(accepts_gzip("br, identity"));
    EXPECT_FALSE(accepts_gzip(""));
}

prometheus::MetricFamily counter() {
    auto family = family_of("flowd_x_total", "Two\nlines, a \\ and a \".", MetricType::Counter);
    add_value(family, {{"reason", "a \"b\"\n\\"}}, 12345678901.0);
    return family;
}

prometheus::MetricFamily histogram() {
    auto family = family_of("flowd_wait_seconds", "Waiting.", MetricType::Histogram);
    auto& metric = family.metric.emplace_back();
    metric.label = {{"edge", "a"}};
    metric.histogram.sample_count = 3;
    metric.histogram.sample_sum = 1.5;
    metric.histogram.bucket = {{1, 0.25}, {2, 1}, {3, std::numeric_limits<double>::infinity()}};
    return family;
}

TEST(Text, EscapesLineBreaks) {
    Page page(Format::text);
    page.add(counter());
    EXPECT_EQ(std::move(page).finish(),
              "# HELP flowd_x_total Two\\nlines, a \\\\ and a \".\n# TYPE flowd_x_total counter\n"
              "flowd_x_total{reason=\"a \\\"b\\\"\\n\\\\\"} 12345678901\n");
}

TEST(OpenMetrics, NamesACounterWithoutItsSuffixAndEnds) {
    Page page(Format::open_metrics);
    page.add(counter());
    EXPECT_EQ(std::move(page).finish(),
              "# TYPE flowd_x counter\n# HELP flowd_x Two\\nlines, a \\\\ and a \\\".\n"
              "flowd_x_total{reason=\"a \\\"b\\\"\\n\\\\\"} 12345678901\n# EOF\n");
}

TEST(OpenMetrics, HasTheBucketsOfAHistogramInOrder) {
    Page page(Format::open_metrics);
    page.add(histogram());
    EXPECT_EQ(std::move(page).finish(),
              "# TYPE flowd_wait_seconds histogram\n# HELP flowd_wait_seconds Waiting.\n"
              "flowd_wait_seconds_bucket{edge=\"a\",le=\"0.25\"} 1\nflowd_wait_seconds_bucket{edge=\"a\",le=\"1.0\"} 2\n"
              "flowd_wait_seconds_bucket{edge=\"a\",le=\"+Inf\"} 3\nflowd_wait_seconds_count{edge=\"a\"} 3\n"
              "flowd_wait_seconds_sum{edge=\"a\"} 1.5\n# EOF\n");
}

TEST(OpenMetrics, KeepsLargeAndOddValues) {
    auto family = family_of("x", "X.", MetricType::Gauge);
    for (const double value : {9007199254740991.0, 1e300, 0.1, -2.0, std::numeric_limits<double>::infinity()})
        add_value(family, {}, value);
    Page page(Format::open_metrics);
    page.add(std::move(family));
    EXPECT_THAT(std::move(page).finish(), HasSubstr("\nx 9007199254740991\nx 1e+300\nx 0.1\nx -2\nx +Inf\n# EOF\n"));
}

TEST(OpenMetrics, ACounterWithTheNameOfAGaugeIsOfUnknownType) {
    auto gauge = family_of("x", "X.", MetricType::Gauge), total = family_of("x_total", "All X.", MetricType::Counter);
    add_value(gauge, {}, 1);
    add_value(total, {}, 2);
    Page page(Format::open_metrics);
    page.add(std::move(gauge));
    page.add(std::move(total));
    EXPECT_EQ(std::move(page).finish(),
              "# TYPE x gauge\n# HELP x X.\nx 1\n# TYPE x_total unknown\n# HELP x_total All X.\nx_total 2\n# EOF\n");
}

TEST(OpenMetrics, OfNoSeriesIsTheEndMarker) {
    EXPECT_EQ(Page(Format::open_metrics).finish(), "# EOF\n");
}

}  // namespace
}  // namespace flowd::metrics
