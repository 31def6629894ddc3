// SPDX-License-Identifier: Apache-2.0
#include "lib/http/problem.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lib/http/query.hpp"
#include "lib/http/reason.hpp"

namespace flowd::http {
namespace {

TEST(Problem, IsFormattedAsInRfc9457) {
    const Response response = problem(404, {.detail = "there is no \"x\""});
    EXPECT_EQ(response.status, 404u);
    EXPECT_EQ(response.content_type, "application/problem+json");
    EXPECT_EQ(response.body, R"({"type":"about:blank","title":"Not Found","status":404,"detail":"there is no \"x\""})"
                             "\n");
}

TEST(Reason, IsALabelValueForRefusals) {
    EXPECT_EQ(reason_word(400), "bad_request");
    EXPECT_EQ(reason_word(401), "unauthorized");
    EXPECT_EQ(reason_word(408), "request_timeout");
    EXPECT_EQ(reason_word(413), "content_too_large");
    EXPECT_EQ(reason_word(503), "service_unavailable");
    for (const unsigned status : {404u, 405u, 415u, 417u, 422u, 429u, 431u, 501u, 505u})
        for (const char c : reason_word(status)) EXPECT_TRUE((c >= 'a' && c <= 'z') || c == '_') << status;
}

TEST(Problem, CarriesAHintAndMore) {
    const Response response =
        problem(503, {.detail = "d", .hint = "h", .more = [](json::Writer& writer) { writer.member("accepted", 3); }});
    EXPECT_EQ(response.body,
              R"({"type":"about:blank","title":"Service Unavailable","status":503,"detail":"d","hint":"h","accepted":3})"
              "\n");
}

TEST(Reason, IsTheReasonPhraseOfRfc9110) {
    EXPECT_EQ(reason(200), "OK");
    EXPECT_EQ(reason(413), "Content Too Large");
    EXPECT_EQ(reason(422), "Unprocessable Content");
    EXPECT_EQ(reason(431), "Request Header Fields Too Large");
}

TEST(Query, IsSplitIntoParameters) {
    std::vector<std::string> seen;
    EXPECT_TRUE(each_parameter("a=1&&b=&c&=d&e=f=g", [&](std::string_view name, std::string_view value) {
        seen.push_back(std::string(name) + ":" + std::string(value));
        return true;
    }));
    EXPECT_THAT(seen, ::testing::ElementsAre("a:1", "b:", "c:", ":d", "e:f=g"));
    std::vector<std::string> values;
    EXPECT_TRUE(
        each_parameter("a=2001%3Adb8%3a%3A%2F32&b=%&c=%4&d=%zz&e=%2b1", [&](std::string_view, std::string_view value) {
            values.emplace_back(value);
            return true;
        }));
    EXPECT_EQ(values, (std::vector<std::string>{"2001:db8::/32", "%", "%4", "%zz", "+1"}));
    EXPECT_FALSE(each_parameter("a&b", [](std::string_view name, std::string_view) { return name == "a"; }));
    EXPECT_TRUE(each_parameter("", [](std::string_view, std::string_view) { return false; }));
}

}  // namespace
}  // namespace flowd::http
