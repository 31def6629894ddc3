// SPDX-License-Identifier: Apache-2.0
#include "flowd/filter.hpp"

#include <gtest/gtest.h>

#include <map>

namespace flowd {
namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t now = 1'800'000'000 * second;

/// Two experiments of a registry.
struct Names {
    static std::optional<std::uint32_t> experiment_id(std::string_view name) {
        if (lower_case(name) == "atlas") return 2;
        return lower_case(name) == "cms" ? std::optional<std::uint32_t>(3) : std::nullopt;
    }
    static std::string_view experiment_name(std::uint32_t id) { return id == 2 ? "atlas" : id == 3 ? "cms" : ""; }
    static std::optional<std::uint32_t> activity_id(std::uint32_t experiment, std::string_view name) {
        return experiment == 2 && lower_case(name) == "data transfer" ? std::optional<std::uint32_t>(16) : std::nullopt;
    }
    static std::string_view activity_name(std::uint32_t experiment, std::uint32_t id) {
        return experiment == 2 && id == 16 ? "Data Transfer" : "";
    }
};

Result<Filter> parse(std::string_view text, Filter::Of of = Filter::Of::flows) {
    return Filter::parse(text, TagNames(Names()), of);
}

flowd_flow flow_of(flowd_tag tag = {2, 16}) {
    flowd_flow flow{};
    flow.size = sizeof flow;
    flow.flow_id = 7;
    flow.key = make_key({*Address::parse("2001:db8::1"), 40000}, {*Address::parse("2001:db8:1::2"), 1094}, 6);
    flow.tag = tag;
    flow.start_time_ns = now - 7200 * second;
    flow.usage = {3'000'000'000, 2000, 0, 0, FLOWD_USAGE_KERNEL, FLOWD_USAGE_BYTES};
    flow.announcer = to_c("fireflyp/regional");
    flow.rule = to_c("rules[2]");
    flow.application = to_c("XRootD server");
    return flow;
}

bool matches(std::string_view text, const flowd_flow& flow) {
    const auto filter = parse(text);
    EXPECT_TRUE(filter) << text << ": " << (filter ? "" : filter.error().message);
    return filter && filter->matches(flow, now);
}

TEST(Filter, TheEmptyOneMatchesEverything) {
    EXPECT_TRUE(matches("", flow_of()));
    EXPECT_TRUE(matches("  \t ", flow_of()));
    EXPECT_TRUE(Filter().matches(flow_of(), now));
}

TEST(Filter, AFlowMatchesIfAllTermsHold) {
    EXPECT_TRUE(
        matches("experiment=atlas activity~transfer network=2001:db8::/32 port=1094 plugin=fireflyp marked=no "
                "age>1h bytes>1G",
                flow_of()));
    EXPECT_FALSE(matches("experiment=atlas port=1095", flow_of()));
}

TEST(Filter, EachFieldAndOperator) {
    struct Case {
        const char* text;
        bool matches;
    };
    for (const auto& [text, expected] : std::vector<Case>{
             {"experiment=ATLAS", true},
             {"experiment=2", true},
             {"experiment!=cms", true},
             {"experiment=cms", false},
             {"experiment~tla", true},
             {"experiment!~tla", false},
             {"activity=16", true},
             {"activity=\"data transfer\"", true},
             {"activity=\"data transfer\" experiment=atlas", true},
             {"experiment=atlas activity=\"Data Transfer\"", true},
             {"activity!=\"data transfer\"", false},
             {"activity~ANSF", true},
             {"network=2001:db8:1::2", true},
             {"network=2001:db8:1::/48", true},
             {"network!=2001:db8:1::/48", false},
             {"network=192.0.2.0/24", false},
             {"source=2001:db8::1", true},
             {"source=2001:db8:1::/48", false},
             {"destination=2001:db8:1::/48", true},
             {"destination!=2001:db8:1::/48", false},
             {"port=40000", true},
             {"port!=1094", false},
             {"port!=80", true},
             {"port>39999", true},
             {"port<1094", false},
             {"port<=1094", true},
             {"protocol=tcp", true},
             {"protocol=6", true},
             {"protocol!=UDP", true},
             {"protocol=icmpv6", false},
             {"plugin=fireflyp", true},
             {"plugin=fireflyp/regional", true},
             {"plugin=fireflyp/other", false},
             {"plugin!=api", true},
             {"plugin~REGION", true},
             {"plugin=firefly", false},
             {"rule=rules[2]", true},
             {"rule~[2]", true},
             {"application=\"xrootd server\"", true},
             {"application~.*", false},
             {"application!~xrootd", false},
             {"marked=yes", false},
             {"marked!=yes", true},
             {"age>=2h", true},
             {"age>2h", false},
             {"age<2.5h", true},
             {"age=7200s", true},
             {"age>1d", false},
             {"bytes>=3000002000", true},
             {"bytes>3.1G", false},
             {"bytes<3GiB", true},
             {"sent=3G", true},
             {"sent=3gb", true},
             {"received<2k", false},
             {"received<=2kB", true},
             {"id=7", true},
             {"id!=7", false},
             {"end=announced", false},
             {"end!=announced", false},
         })
        EXPECT_EQ(matches(text, flow_of()), expected) << text;
}

TEST(Filter, AnEndedFlowHasAReasonAndTheAgeThatItHadAtItsEnd) {
    flowd_flow flow = flow_of();
    flow.end_time_ns = flow.start_time_ns + 60 * second;
    flow.end_reason = FLOWD_END_IDLE;
    flow.flags = FLOWD_MARKED;
    EXPECT_TRUE(matches("end=idle age<=1m marked=yes", flow));
    EXPECT_TRUE(matches("end!=announced", flow));
    flow.end_reason = 4711;
    EXPECT_TRUE(matches("end=unknown", flow));
}

TEST(Filter, EventsAreSelectedByKindAndRefusalsByInstance) {
    const flowd_flow flow = flow_of();
    flowd_observed start{};
    start.kind = FLOWD_OBSERVED_START;
    start.flow = &flow;
    start.time_ns = now;
    flowd_observed refusal{};
    refusal.kind = FLOWD_OBSERVED_REFUSAL;
    refusal.instance = to_c("plugin fireflyp/regional");
    const auto holds = [](std::string_view text, const flowd_observed& observed) {
        return parse(text, Filter::Of::events).value().matches(observed);
    };
    EXPECT_TRUE(holds("event=start experiment=atlas age>1h", start));
    EXPECT_FALSE(holds("event=end", start));
    EXPECT_TRUE(holds("event!=end", refusal));
    EXPECT_TRUE(holds("event=refusal plugin=fireflyp", refusal));
    EXPECT_TRUE(holds("plugin=fireflyp/regional", refusal));
    EXPECT_FALSE(holds("plugin=api", refusal));
    EXPECT_FALSE(holds("port!=1094", refusal)) << "a refusal has no port";
    EXPECT_TRUE(holds("", refusal));
}

TEST(Filter, AnErrorNamesTheWordItsColumnAndWhatIsAllowed) {
    struct Case {
        const char* text;
        const char* message;
        const char* hint;  ///< a part of it
    };
    for (const auto& [text, message, hint] : std::vector<Case>{
             {"port=1094 experimnt=atlas", "column 11: \"experimnt\" is not a field", "did you mean experiment?"},
             {"atlas", "column 1: \"atlas\" is not a term", "write FIELD=VALUE; the fields are experiment, activity"},
             {"=x", "column 1: \"\" is not a field", "the fields are"},
             {"port~10", "column 5: \"~\" is not an operator of port", "=, !=, >, >=, < and <="},
             {"marked>no", "column 7: \">\" is not an operator of marked", "= and !="},
             {"port", "column 5: \"\" is not an operator of port", "="},
             {"port!1", "column 5: \"!1\" is not an operator of port", "="},
             {"port=", "column 6: \"\" is no value", "\"\""},
             {"port=65536", "column 6: \"65536\" is not a value of port", "0 to 65535"},
             {"port=-1", "column 6: \"-1\" is not a value of port", "0 to 65535"},
             {"marked=ja", "column 8: \"ja\" is not a value of marked", "yes or no"},
             {"end=idel", "column 5: \"idel\" is not a value of end", "did you mean idle?"},
             {"experiment=atlass", "column 12: \"atlass\" is not a value of experiment", "registry list"},
             {"experiment=cms activity=nothing", "column 25: \"nothing\" is not a value of activity", "registry show"},
             {"network=2001:db8::1/32", "column 9: \"2001:db8::1/32\" is not a value of network", "2001:db8::/32"},
             {"age>5", "column 5: \"5\" is not a value of age", "90s"},
             {"age>1.s", "column 5: \"1.s\" is not a value of age", "90s"},
             {"bytes>1X", "column 7: \"1X\" is not a value of bytes", "1.5G"},
             {"bytes>99999999999P", "column 7: \"99999999999P\" is not a value of bytes", "1.5G"},
             {"application=\"a b", "column 13: \"\"a b\" has no closing quote", "add"},
             {"application=\"a\"b", "column 16: \"b\" follows a quoted value", "space"},
             {"application=\xc3\xa4\xc3\xa4 prt=1", "column 16: \"prt\" is not a field", "did you mean port?"},
             {"a\x1b[31m=1", "column 1: \"a\\x1b[31m\" is not a field", "fields"},
             {"event=start", "column 1: \"event\" is not a field", "fields"},
         }) {
        const auto filter = parse(text);
        ASSERT_FALSE(filter) << text;
        EXPECT_EQ(filter.error().code, FLOWD_INVALID);
        EXPECT_EQ(filter.error().message, message);
        EXPECT_NE(filter.error().hint.find(hint), std::string::npos) << text << ": " << filter.error().hint;
    }
}

TEST(Filter, ItsSizeIsLimited) {
    std::string terms;
    for (std::size_t i = 0; i < Filter::max_terms; ++i) terms += "id=1 ";
    EXPECT_TRUE(parse(terms));
    const auto many = parse(terms + "id=2");
    ASSERT_FALSE(many);
    EXPECT_EQ(many.error().message, "column 161: \"id=2\" is one term too many");
    EXPECT_TRUE(parse("application=" + std::string(Filter::max_bytes - 12, 'x')));
    EXPECT_FALSE(parse("application=" + std::string(Filter::max_bytes - 11, 'x')));
}

TEST(Filter, WhatTheCoreComparesNeverExcludesAMatch) {
    const auto filter = parse("experiment=atlas activity=16 port=1094 port=40000 protocol=tcp source=2001:db8::/32 id=7");
    const flowd_flow_filter members = filter->members();
    EXPECT_EQ(members.members, std::uint32_t{FLOWD_FILTER_EXPERIMENT | FLOWD_FILTER_ACTIVITY | FLOWD_FILTER_PORT |
                                             FLOWD_FILTER_PROTOCOL | FLOWD_FILTER_NETWORK});
    EXPECT_EQ(members.tag.experiment, 2u);
    EXPECT_EQ(members.port, 1094) << "the first of two";
    EXPECT_EQ(members.prefix_length, 32u);
    EXPECT_EQ(parse("port!=1 experiment~a age>1h activity=x")->members().members, 0u);
}

TEST(Filter, WithoutNamesNumbersAreAccepted) {
    EXPECT_TRUE(Filter::parse("experiment=2 activity=16", TagNames()));
    EXPECT_FALSE(Filter::parse("experiment=atlas", TagNames()));
    const Names names;
    EXPECT_TRUE(Filter::parse("experiment=atlas", TagNames(&names)));
}

TEST(Printable, WhatChangesTheTextAroundItIsEscaped) {
    EXPECT_EQ(printable("a\x1b[31mb\x7f\n"), "a\\x1b[31mb\\x7f\\x0a");
    EXPECT_EQ(printable("a\nb", '\n'), "a\nb");
    EXPECT_EQ(printable("\xc2\x9b\xe2\x80\xae\xe2\x81\xa6\xef\xbb\xbf"), "\\x9b\\u202e\\u2066\\ufeff");
    EXPECT_EQ(printable("\xff\xc3\xa4\xf0\x9f\x98\x80\xed\xa0\x80\xc3"),
              "\\xff\xc3\xa4\xf0\x9f\x98\x80\\xed\\xa0\\x80\\xc3");
    EXPECT_EQ(printable("<img src=x>"), "<img src=x>");
}

}  // namespace
}  // namespace flowd
