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
        return flow_page(host_->flows(), PageRequest::from(query).value()).value();
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
        R"("startTime":"2026-02-24T16:56:42.251384+00:00","seenTime":"1970-01-01T00:00:00.000000+00:00","announcers":1}]})"
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
    const auto page = flow_page(host_->flows(), PageRequest::from("cursor=99").value());
    ASSERT_FALSE(page);
    EXPECT_EQ(page.error().code, FLOWD_INVALID);
}

TEST_F(FlowPageTest, RefusesParametersThatItDoesNotUnderstand) {
    for (const char* query : {"limit=0", "limit=10001", "limit=", "limit=x", "limit=1x", "limit=-1", "cursor=-1",
                              "cursor=x", "offset=1", "limit", "limit=99999999999999999999"})
        EXPECT_FALSE(PageRequest::from(query)) << query;
    EXPECT_EQ(PageRequest::from("limit=x").error().message, "limit: is not a number from 1 to 10000");
}

}  // namespace
}  // namespace flowd::api
