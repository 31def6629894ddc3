// SPDX-License-Identifier: Apache-2.0
// What `status` makes of the members that every module's status may have: summary and state.
#include "core/service/status_json.hpp"
#include "scripted.hpp"

namespace flowd::core::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct StatusTest : Rig {
    std::string status_with(const std::string& detail) {
        return status_json({}, supervisor(), services_, {{"plugin x", detail}});
    }
};

TEST_F(StatusTest, SummaryAndStateAreShownWithTheInstance) {
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "x")), ExitCode::ok);
    EXPECT_THAT(status_with(R"({"summary":"marks eth0","state":"ok"})"),
                HasSubstr(R"("health":"ok","summary":"marks eth0",)"));
    EXPECT_THAT(status_with(R"({"state":"failed"})"), HasSubstr(R"("health":"failed",)"));
    EXPECT_THAT(status_with(R"({"state":"of a later minor"})"), HasSubstr(R"("health":"degraded",)"));
    for (const char* other : {"{}", R"({"summary":7,"state":null})", "[]", "no json"}) {
        EXPECT_THAT(status_with(other), Not(HasSubstr("health"))) << other;
        EXPECT_THAT(status_with(other), Not(HasSubstr("\"summary\":\""))) << other;
    }
    supervisor().stop();
}

TEST_F(StatusTest, ASummaryIsTruncatedTo60ColumnsAndEscaped) {
    ASSERT_EQ(start(config(FLOWD_PLUGIN, "x")), ExitCode::ok);
    std::string wide;
    for (int i = 0; i < 70; ++i) wide += "\u00e9";
    std::string cut;
    for (int i = 0; i < 60; ++i) cut += "\u00e9";
    EXPECT_THAT(status_with("{\"summary\":\"" + wide + "\"}"), HasSubstr("\"summary\":\"" + cut + "\","));
    EXPECT_THAT(status_with(R"({"summary":"a\u001b[2J\nb"})"), HasSubstr(R"("summary":"a\\x1b[2J b",)"));
    supervisor().stop();
}

}  // namespace
}  // namespace flowd::core::test
