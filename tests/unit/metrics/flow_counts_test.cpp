// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/flow_counts.hpp"

#include <gtest/gtest.h>

#include "flowd/testing/fake_host.hpp"
#include "tests/unit/metrics/events.hpp"

namespace flowd::metrics {
namespace {

using test::event_of;
using test::with_usage;

class FlowCountsTest : public ::testing::Test {
  protected:
    FlowCountsTest() {
        fake_.add_experiment(2, "atlas");
        fake_.add_activity(2, 16, "Data Consolidation");
    }
    void take(const Event& event) { counts_.take(EventView(event.raw())); }
    double value(const std::string& series) const { return fake_.metric(series).value_or(testing::RecordedMetric{}).value; }

    testing::FakeHost fake_{"metrics"};
    std::unique_ptr<Host> host_ = Host::make(fake_.raw()).value();
    FlowCounts counts_{*host_, TagLabels(host_->registry(), false)};
};

TEST_F(FlowCountsTest, AFlowIsLiveFromItsStartToItsEnd) {
    take(event_of(FLOWD_EVENT_START, 1));
    take(event_of(FLOWD_EVENT_START, 2));
    EXPECT_EQ(value("flows_live{experiment=\"2\",activity=\"16\"}"), 2);
    Event end = event_of(FLOWD_EVENT_END, 1);
    end->end_reason = FLOWD_END_IDLE;
    take(end);
    EXPECT_EQ(value("flows_live{experiment=\"2\",activity=\"16\"}"), 1);
    EXPECT_EQ(value("flows_started_total{experiment=\"2\",activity=\"16\"}"), 2);
    EXPECT_EQ(value("flows_ended_total{experiment=\"2\",activity=\"16\"}"), 1);
    EXPECT_EQ(value("flows_expired_total{experiment=\"2\",activity=\"16\"}"), 1);
    EXPECT_EQ(counts_.live(), 1u);
}

TEST_F(FlowCountsTest, BytesAreCountedOnceAsTheyMove) {
    take(event_of(FLOWD_EVENT_START, 1));
    take(with_usage(event_of(FLOWD_EVENT_ONGOING, 1), 100, 10));
    take(with_usage(event_of(FLOWD_EVENT_ONGOING, 1), 90, 30));  // another enricher saw less
    take(with_usage(event_of(FLOWD_EVENT_END, 1), 250, 30));
    EXPECT_EQ(value("flow_bytes_total{experiment=\"2\",activity=\"16\",direction=\"sent\"}"), 250);
    EXPECT_EQ(value("flow_bytes_total{experiment=\"2\",activity=\"16\",direction=\"received\"}"), 30);
}

TEST_F(FlowCountsTest, AfterARetagFurtherBytesCountForTheNewTag) {
    take(with_usage(event_of(FLOWD_EVENT_START, 1), 100, 0));
    Event retagged = with_usage(event_of(FLOWD_EVENT_ONGOING, 1, {3, 14}), 150, 0);
    retagged->flags |= FLOWD_RETAGGED;
    take(retagged);
    EXPECT_EQ(value("flows_live{experiment=\"2\",activity=\"16\"}"), 0);
    EXPECT_EQ(value("flows_live{experiment=\"3\",activity=\"14\"}"), 1);
    EXPECT_EQ(value("flow_bytes_total{experiment=\"2\",activity=\"16\",direction=\"sent\"}"), 100);
    EXPECT_EQ(value("flow_bytes_total{experiment=\"3\",activity=\"14\",direction=\"sent\"}"), 50);
}

TEST_F(FlowCountsTest, AnEndWithoutAStartIsCountedWithItsBytes) {
    take(with_usage(event_of(FLOWD_EVENT_END, 9), 7, 8));
    EXPECT_EQ(value("flows_ended_total{experiment=\"2\",activity=\"16\"}"), 1);
    EXPECT_EQ(value("flows_live{experiment=\"2\",activity=\"16\"}"), 0);
    EXPECT_EQ(value("flow_bytes_total{experiment=\"2\",activity=\"16\",direction=\"received\"}"), 8);
}

TEST_F(FlowCountsTest, FlowsCountedByAPredecessorAreNotCountedAgain) {
    Event again = with_usage(event_of(FLOWD_EVENT_START, 1), 1000, 0);
    again->flags |= FLOWD_RESYNC;
    again->start_time_ns = 1;
    take(again);
    take(with_usage(event_of(FLOWD_EVENT_ONGOING, 1), 1200, 0));
    EXPECT_EQ(value("flows_live{experiment=\"2\",activity=\"16\"}"), 1);
    EXPECT_EQ(value("flows_started_total{experiment=\"2\",activity=\"16\"}"), 0);
    EXPECT_EQ(value("flow_bytes_total{experiment=\"2\",activity=\"16\",direction=\"sent\"}"), 200);

    Event missed = event_of(FLOWD_EVENT_START, 2);  // it started later: nobody was told before
    missed->flags |= FLOWD_RESYNC;
    take(missed);
    take(missed);
    EXPECT_EQ(value("flows_started_total{experiment=\"2\",activity=\"16\"}"), 1);
    EXPECT_EQ(value("flows_live{experiment=\"2\",activity=\"16\"}"), 2);
}

TEST_F(FlowCountsTest, ASuccessorSharesTheGaugeAndCountsNoFlowTwice) {
    take(event_of(FLOWD_EVENT_START, 1));
    {
        FlowCounts predecessor(*host_, TagLabels(host_->registry(), false));
        predecessor.take(EventView(event_of(FLOWD_EVENT_START, 1).raw()));
        EXPECT_EQ(value("flows_live{experiment=\"2\",activity=\"16\"}"), 2);
    }
    EXPECT_EQ(value("flows_live{experiment=\"2\",activity=\"16\"}"), 1);
}

TEST_F(FlowCountsTest, LabelsAreNamesOfTheRegistryIfKnown) {
    FlowCounts named(*host_, TagLabels(host_->registry(), true));
    named.take(EventView(event_of(FLOWD_EVENT_START, 1).raw()));
    named.take(EventView(event_of(FLOWD_EVENT_START, 2, {2, 99}).raw()));
    named.take(EventView(event_of(FLOWD_EVENT_START, 3, {400, 1}).raw()));
    EXPECT_EQ(value("flows_live{experiment=\"atlas\",activity=\"Data Consolidation\"}"), 1);
    EXPECT_EQ(value("flows_live{experiment=\"atlas\",activity=\"99\"}"), 1);
    EXPECT_EQ(value("flows_live{experiment=\"400\",activity=\"1\"}"), 1);
}

TEST_F(FlowCountsTest, UnknownIdsBeyondALimitShareALabel) {
    constexpr auto most = static_cast<std::uint32_t>(FlowCounts::max_unregistered);
    for (std::uint32_t i = 0; i < most + 10; ++i) take(event_of(FLOWD_EVENT_START, i + 1, {1000 + i, 1}));
    EXPECT_EQ(value("flows_live{experiment=\"other\",activity=\"other\"}"), 10);
    take(event_of(FLOWD_EVENT_START, 9999));
    EXPECT_EQ(value("flows_live{experiment=\"2\",activity=\"16\"}"), 1) << "registered ones always have their own";
    EXPECT_FALSE(fake_.metric("flows_live{experiment=\"" + std::to_string(1000 + most) + "\",activity=\"1\"}"));
}

}  // namespace
}  // namespace flowd::metrics
