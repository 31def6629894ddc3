// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/flow_page.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>
#include <vector>

#include "flowd/testing/fake_host.hpp"

namespace flowd::api {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class FlowPageTest : public ::testing::Test {
  protected:
    void add(std::uint64_t id) {
        flowd_flow flow{};
        flow.size = sizeof flow;
        flow.flow_id = id;
        flow.key = make_key({*Address::parse("2001:db8::1"), static_cast<std::uint16_t>(id)},
                            {*Address::parse("2001:db8::2"), 1094}, IPPROTO_TCP);
        flow.tag = {2, 16};
        flow.start_time_ns = 1'771'952'202'251'384'000;
        flow.announcers = 1;
        fake_.add_flow(flow);
    }
    std::string page(const std::string& query) {
        return flow_page(host_->flows(), PageRequest::from(query, host_->registry()).value()).value();
    }
    static std::vector<std::uint64_t> ids(const std::string& json) {
        simdjson::dom::parser parser;
        std::vector<std::uint64_t> found;
        const simdjson::dom::element page = parser.parse(json);
        const simdjson::dom::array flows = page["flows"];
        for (const simdjson::dom::element flow : flows) found.push_back(flow["id"].get_uint64().value());
        return found;
    }

    testing::FakeHost fake_;
    std::unique_ptr<Host> host_ = std::move(Host::make(fake_.raw()).value());
};

TEST_F(FlowPageTest, ShowsAFlow) {
    add(7);
    EXPECT_EQ(
        page(""),
        R"({"live":1,"flows":[{"id":7,"protocol":"tcp","source":{"address":"2001:db8::1","port":7},)"
        R"("destination":{"address":"2001:db8::2","port":1094},"experiment":2,"activity":16,)"
        R"("startTime":"2026-02-24T16:56:42.251384+00:00","seenTime":"1970-01-01T00:00:00.000000+00:00","announcers":1,"marked":false}]})"
        "\n");
}

TEST_F(FlowPageTest, IsEmptyWithoutFlows) {
    EXPECT_EQ(page(""), "{\"live\":0,\"flows\":[]}\n");
}

TEST_F(FlowPageTest, GoesThroughAllFlowsPageByPage) {
    for (const std::uint64_t id : {5u, 3u, 9u, 1u, 7u}) add(id);
    EXPECT_THAT(ids(page("limit=2")), ElementsAre(5, 3));
    EXPECT_THAT(page("limit=2"), HasSubstr(R"("next":"2")"));
    EXPECT_THAT(ids(page("limit=2&cursor=2")), ElementsAre(9, 1));
    EXPECT_THAT(ids(page("limit=2&cursor=4")), ElementsAre(7));
    EXPECT_THAT(page("limit=2&cursor=4"), Not(HasSubstr("next")));
}

TEST_F(FlowPageTest, RefusesACursorThatTheCoreRefuses) {
    fake_.refuse_cursors();
    const auto page = flow_page(host_->flows(), PageRequest::from("cursor=99", host_->registry()).value());
    ASSERT_FALSE(page);
    EXPECT_EQ(page.error().code, FLOWD_INVALID);
}

TEST_F(FlowPageTest, RefusesUnknownParameters) {
    for (const char* query : {"limit=0",
                              "limit=10001",
                              "limit=",
                              "limit=x",
                              "limit=1x",
                              "limit=-1",
                              "cursor=-1",
                              "cursor=x",
                              "offset=1",
                              "limit",
                              "limit=99999999999999999999",
                              "port=65536",
                              "port=",
                              "protocol=0",
                              "protocol=TCP",
                              "network=x",
                              "network=192.0.2.1/24",
                              "experiment=nobody",
                              "activity=analysis",
                              "experiment=atlas&activity=nothing",
                              "sender=1",
                              "port=%31%zz"})
        EXPECT_FALSE(PageRequest::from(query, host_->registry())) << query;
    EXPECT_EQ(PageRequest::from("limit=x", host_->registry()).error().message, "limit: is not a number from 1 to 10000");
}

TEST_F(FlowPageTest, FiltersByEveryMemberThatIsGiven) {
    fake_.add_experiment(2, "atlas");
    fake_.add_activity(2, 16, "analysis");
    add(7);
    page("");
    EXPECT_EQ(fake_.filter().members, 0u);
    page("activity=analysis&experiment=atlas&network=192.0.2.0%2F24&port=1094&protocol=udp&announcer=fireflyp%2Fregional");
    const flowd_flow_filter& filter = fake_.filter();
    EXPECT_EQ(filter.members, std::uint32_t{FLOWD_FILTER_EXPERIMENT | FLOWD_FILTER_ACTIVITY | FLOWD_FILTER_NETWORK |
                                            FLOWD_FILTER_PORT | FLOWD_FILTER_PROTOCOL | FLOWD_FILTER_ANNOUNCER});
    EXPECT_EQ(filter.tag.experiment, 2u);
    EXPECT_EQ(filter.tag.activity, 16u);
    EXPECT_EQ(Address(filter.network), *Address::parse("192.0.2.0"));
    EXPECT_EQ(filter.prefix_length, 120u);
    EXPECT_EQ(filter.port, 1094);
    EXPECT_EQ(filter.protocol, IPPROTO_UDP);
    EXPECT_EQ(to_view(filter.announcer), "fireflyp/regional");
    page("experiment=3&protocol=132");
    EXPECT_EQ(fake_.filter().members, std::uint32_t{FLOWD_FILTER_EXPERIMENT | FLOWD_FILTER_PROTOCOL});
    EXPECT_EQ(fake_.filter().tag.experiment, 3u);
    EXPECT_EQ(fake_.filter().protocol, 132);
}

}  // namespace
}  // namespace flowd::api
