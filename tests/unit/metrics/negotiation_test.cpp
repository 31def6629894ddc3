// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/negotiation.hpp"

#include <gtest/gtest.h>

#include <string>

namespace flowd::metrics {
namespace {

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

}  // namespace
}  // namespace flowd::metrics
