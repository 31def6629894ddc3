// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/parser.hpp"

#include <gtest/gtest.h>

#include <string>

#include "flowd/address.hpp"
#include "lib/firefly/timestamp.hpp"
#include "tests/unit/firefly/fixtures.hpp"

namespace flowd::firefly {

void PrintTo(Refusal refusal, std::ostream* out) {
    *out << name_of(refusal);
}

namespace {

using fixtures::with;

class FireflyParser : public ::testing::Test {
  protected:
    Refusal read(std::string_view text) { return parser_.parse(text, firefly_); }
    Refusal with_piece(std::string_view piece, std::string_view other) { return read(with(piece, other)); }
    [[nodiscard]] std::string source() const { return source_of(firefly_.key).to_string(); }
    [[nodiscard]] std::string destination() const { return destination_of(firefly_.key).to_string(); }

    Parser parser_{4096};
    Firefly firefly_;
};

TEST_F(FireflyParser, UnderstandsFlowdWithNetlinkAsArray) {
    ASSERT_EQ(read(fixtures::flowd_py_start), Refusal::none);
    EXPECT_EQ(firefly_.state, State::start);
    EXPECT_EQ(source(), "[2001:db8::1]:35404");
    EXPECT_EQ(destination(), "[2001:db8:1::2]:1094");
    EXPECT_EQ(firefly_.key.protocol, IPPROTO_TCP);
    EXPECT_EQ(firefly_.tag.experiment, 2u);
    EXPECT_EQ(firefly_.tag.activity, 16u);
    EXPECT_EQ(firefly_.start_time_ns, parse_timestamp("2026-03-01T07:03:52.241520Z"));
    EXPECT_EQ(firefly_.current_time_ns, parse_timestamp("2026-03-01T07:03:52.243619Z"));
    EXPECT_EQ(firefly_.application, "flowd v1.1.7");
    EXPECT_FALSE(firefly_.has_usage);
    ASSERT_EQ(firefly_.blocks.size(), 1u);
    EXPECT_EQ(firefly_.blocks[0].name, "netlink");
    EXPECT_EQ(
        firefly_.blocks[0].json,
        R"(["established",{"src":"2001:db8::1","retrans":0,"tcp_info":{"rtt":0.163,"opts":["ts","sack"],"max_pacing_rate":18446744073709551615},"cong_algo":"bbr"}])");
}

TEST_F(FireflyParser, UnderstandsAnEndWithoutStartTime) {
    ASSERT_EQ(read(fixtures::flowd_py_end), Refusal::none);
    EXPECT_EQ(firefly_.state, State::end);
    EXPECT_EQ(firefly_.start_time_ns, 0) << "null";
    EXPECT_EQ(firefly_.end_time_ns, parse_timestamp("2026-03-01T07:03:57.241878Z"));
    ASSERT_EQ(read(fixtures::flowd_go_end), Refusal::none);
    EXPECT_EQ(firefly_.start_time_ns, 0) << "\"\"";
    EXPECT_EQ(firefly_.current_time_ns, 0) << "absent";
    EXPECT_EQ(firefly_.end_time_ns, parse_timestamp("2026-02-24T16:57:42.1Z"));
    ASSERT_EQ(read(with(R"("start-time":"2026-02-24T16:56:42.251384+00:00")", R"("end-time":null)")), Refusal::none);
}

TEST_F(FireflyParser, UnderstandsFlowdGoWithLocalTimeAndTwoBlocks) {
    ASSERT_EQ(read(fixtures::flowd_go_ongoing_lean), Refusal::none);
    EXPECT_EQ(firefly_.state, State::ongoing);
    EXPECT_EQ(firefly_.start_time_ns, parse_timestamp("2026-02-24T16:56:42.251384Z"));
    ASSERT_EQ(firefly_.blocks.size(), 2u);
    EXPECT_EQ(firefly_.blocks[1].name, "skOps");
    EXPECT_EQ(firefly_.blocks[1].json, R"({"tcpInfo":{"rtt":1}})");
}

TEST_F(FireflyParser, UnderstandsXrootdWithUsage) {
    ASSERT_EQ(read(fixtures::xrootd_end), Refusal::none);
    EXPECT_TRUE(firefly_.has_usage);
    EXPECT_EQ(firefly_.received, 813u);
    EXPECT_EQ(firefly_.sent, 10507049000u);
    EXPECT_EQ(source(), "192.0.2.10:40122");
    EXPECT_EQ(firefly_.application, "http-put");
    ASSERT_EQ(firefly_.blocks.size(), 1u);
    EXPECT_EQ(firefly_.blocks[0].json, R"({"rtt":101.053})");
}

TEST_F(FireflyParser, UnderstandsDcacheWithItsOwnObjects) {
    ASSERT_EQ(read(fixtures::dcache_start), Refusal::none);
    EXPECT_FALSE(firefly_.has_usage) << "{} says nothing";
    EXPECT_EQ(firefly_.current_time_ns % 1000, 789);
    ASSERT_EQ(read(fixtures::dcache_end), Refusal::none);
    EXPECT_EQ(firefly_.sent, 5368709120u);
    ASSERT_EQ(firefly_.blocks.size(), 1u);
    EXPECT_EQ(firefly_.blocks[0].name, "storage-stats");
}

TEST_F(FireflyParser, FindsTheJsonWhereverItBegins) {
    const std::string bare(fixtures::flowd_go_bare);
    EXPECT_EQ(read(bare), Refusal::none);
    EXPECT_EQ(read("\xef\xbb\xbf" + bare), Refusal::none) << "byte order mark";
    EXPECT_EQ(read("<134>1 - - - - - - \xef\xbb\xbf" + bare), Refusal::none);
    EXPECT_EQ(read(bare + "\n"), Refusal::none);
    EXPECT_EQ(read(bare + std::string("\r\n\0\0", 4)), Refusal::none);
    EXPECT_EQ(read("  " + bare + "  "), Refusal::none);
}

TEST_F(FireflyParser, IsCaseInsensitive) {
    EXPECT_EQ(with_piece(R"("start")", R"("START")"), Refusal::none);
    EXPECT_EQ(with_piece(R"("tcp")", R"("TCP")"), Refusal::none);
    EXPECT_EQ(with_piece(R"("ipv6")", R"("IPv6")"), Refusal::none);
    EXPECT_EQ(with_piece(R"("tcp")", R"("Udp")"), Refusal::none);
    EXPECT_EQ(firefly_.key.protocol, IPPROTO_UDP);
}

TEST_F(FireflyParser, ConvertsMappedAddressesToIpv4) {
    auto text = with(R"("2001:db8::1")", R"("::ffff:192.0.2.1")");
    text = with(R"("2001:db8:1::2")", R"("::FFFF:c633:6402")", text);
    ASSERT_EQ(read(text), Refusal::none) << "flowd-go says ipv6";
    EXPECT_EQ(source(), "192.0.2.1:1234");
    EXPECT_EQ(destination(), "198.51.100.2:5678");
    EXPECT_EQ(read(with(R"("ipv6")", R"("ipv4")", text)), Refusal::none);
}

TEST_F(FireflyParser, DropsZonesAndBrackets) {
    ASSERT_EQ(with_piece(R"("2001:db8::1")", R"("fe80::1%eth0")"), Refusal::none);
    EXPECT_EQ(source(), "[fe80::1]:1234");
    ASSERT_EQ(with_piece(R"("2001:db8::1")", R"("[2001:DB8:0:0:0:0:0:9]")"), Refusal::none);
    EXPECT_EQ(source(), "[2001:db8::9]:1234");
}

TEST_F(FireflyParser, AcceptsTagsThatDoNotFitALabel) {
    ASSERT_EQ(with_piece(R"("experiment-id":2)", R"("experiment-id":70000)"), Refusal::none);
    EXPECT_EQ(firefly_.tag.experiment, 70000u);
    ASSERT_EQ(with_piece(R"("experiment-id":2,"activity-id":2)", R"("experiment-id":0,"activity-id":0)"), Refusal::none);
}

TEST_F(FireflyParser, KeepsUnknownTopLevelMembersAndIgnoresNestedOnes) {
    ASSERT_EQ(with_piece(R"({"version":1,)", R"({"version":1,"x":[1,-2,2.0,true,null,"\u00e9\n"],"y z":1,)"),
              Refusal::none);
    ASSERT_EQ(firefly_.blocks.size(), 1u) << "a name with a blank is not repeated";
    EXPECT_EQ(firefly_.blocks[0].json, "[1,-2,2.0,true,null,\"\xc3\xa9\\n\"]");
    EXPECT_EQ(with_piece(R"("state":"start")", R"("state":"start","mood":{})"), Refusal::none);
}

TEST_F(FireflyParser, ForgetsThePreviousFirefly) {
    ASSERT_EQ(read(fixtures::dcache_end), Refusal::none);
    ASSERT_EQ(read(fixtures::flowd_go_bare), Refusal::none);
    EXPECT_FALSE(firefly_.has_usage);
    EXPECT_EQ(firefly_.end_time_ns, 0);
    EXPECT_TRUE(firefly_.blocks.empty());
}

// case C30
TEST_F(FireflyParser, RefusesWhatIsNotOneJsonObject) {
    const std::string bare(fixtures::flowd_go_bare);
    EXPECT_EQ(read(""), Refusal::empty);
    EXPECT_EQ(read(std::string("\0\0\n", 3)), Refusal::empty);
    EXPECT_EQ(read("Feb  1 18:54:27 host syslog-ng[1]: Log statistics; processed='center(queued)=4'"), Refusal::no_json);
    EXPECT_EQ(read("{"), Refusal::bad_json);
    EXPECT_EQ(read(bare.substr(0, bare.size() - 1)), Refusal::bad_json) << "cut off";
    EXPECT_EQ(read(bare + "x"), Refusal::bad_json);
    EXPECT_EQ(read(bare + bare), Refusal::bad_json) << "two in one datagram";
    EXPECT_EQ(with_piece("flowd-go-2.4.2", "\xff\xfe"), Refusal::bad_json) << "not UTF-8";
    EXPECT_EQ(with_piece(R"({"version":1,)", R"({"version":1,"x":)" + std::string(60, '[') + std::string(60, ']') + ","),
              Refusal::bad_json)
        << "too deep";
    EXPECT_EQ(with_piece("flowd-go-2.4.2", std::string(5000, 'x')), Refusal::truncated);
}

TEST_F(FireflyParser, RefusesEachMissingRequiredMember) {
    EXPECT_EQ(read("{}"), Refusal::missing_member);
    EXPECT_EQ(with_piece(R"("version":1,)", ""), Refusal::missing_member);
    EXPECT_EQ(with_piece(R"("state":"start",)", ""), Refusal::missing_member);
    for (const char* piece :
         {R"("afi":"ipv6",)", R"("src-ip":"2001:db8::1",)", R"("dst-ip":"2001:db8:1::2",)", R"("protocol":"tcp",)",
          R"("src-port":1234,)", R"(,"dst-port":5678)", R"("experiment-id":2,)", R"("activity-id":2,)"})
        EXPECT_EQ(with_piece(piece, ""), Refusal::missing_member) << piece;
    EXPECT_EQ(with_piece(R"(,"application":"flowd-go-2.4.2")", ""), Refusal::none) << "the schema does not require it";
}

TEST_F(FireflyParser, RefusesDuplicateMembers) {
    EXPECT_EQ(with_piece(R"("version":1,)", R"("version":1,"version":1,)"), Refusal::repeated_member);
    EXPECT_EQ(with_piece(R"("src-port":1234)", R"("src-port":1234,"src-port":80)"), Refusal::repeated_member);
    EXPECT_EQ(with_piece(R"("state":"start")", R"("state":"start","state":"end")"), Refusal::repeated_member);
    EXPECT_EQ(with_piece(R"("activity-id":2)", R"("activity-id":2,"activity-id":3)"), Refusal::repeated_member);
}

TEST_F(FireflyParser, RefusesInvalidValuesByReason) {
    struct Case {
        const char *piece, *other;
        Refusal refusal;
    };
    for (const auto& [piece, other, refusal] : std::initializer_list<Case>{
             {R"("version":1)", R"("version":2)", Refusal::unsupported_version},
             {R"("version":1)", R"("version":"1")", Refusal::bad_type},
             {R"("version":1)", R"("version":1.0)", Refusal::bad_type},
             {R"("start")", R"("begin")", Refusal::bad_state},
             {R"("start")", "1", Refusal::bad_type},
             {R"("2026-02-24T16:56:42.251384+00:00")", R"("yesterday")", Refusal::bad_time},
             {R"("2026-02-24T16:56:42.251384+00:00")", "1771952202", Refusal::bad_type},
             {R"("ipv6")", R"("ipv4")", Refusal::bad_family},
             {R"("ipv6")", R"("inet6")", Refusal::bad_family},
             {R"("2001:db8::1")", R"("192.0.2.1")", Refusal::bad_family},
             {R"("2001:db8::1")", R"("se1.example.org")", Refusal::bad_address},
             {R"("2001:db8::1")", R"("::")", Refusal::bad_address},
             {R"("2001:db8::1")", R"("")", Refusal::bad_address},
             {R"("2001:db8::1")", "1", Refusal::bad_type},
             {R"("src-port":1234)", R"("src-port":65536)", Refusal::bad_port},
             {R"("src-port":1234)", R"("src-port":-1)", Refusal::bad_port},
             {R"("src-port":1234)", R"("src-port":"1234")", Refusal::bad_type},
             {R"("src-port":1234)", R"("src-port":0)", Refusal::port_zero},
             {R"("tcp")", R"("icmp")", Refusal::bad_protocol},
             {R"("tcp")", "6", Refusal::bad_type},
             {R"("experiment-id":2)", R"("experiment-id":-1)", Refusal::bad_tag},
             {R"("experiment-id":2)", R"("experiment-id":4294967296)", Refusal::bad_tag},
             {R"("experiment-id":2)", R"("experiment-id":"atlas")", Refusal::bad_type},
             {R"("version":1)", R"("version":1,"usage":{"sent":-1})", Refusal::bad_type},
             {R"("version":1)", R"("version":1,"usage":7)", Refusal::bad_type},
             {R"("application":"flowd-go-2.4.2")", R"("application":7)", Refusal::bad_type},
         })
        EXPECT_EQ(with_piece(piece, other), refusal) << piece << " -> " << other;
    EXPECT_EQ(read(fixtures::flowd_go_wildcard), Refusal::bad_address);
}

TEST_F(FireflyParser, EveryRefusalHasItsOwnName) {
    EXPECT_EQ(name_of(Refusal::none), "none");
    EXPECT_EQ(name_of(Refusal::port_zero), "port_zero");
    EXPECT_EQ(name_of(Refusal::bad_tag), refusal_names.back());
}

}  // namespace
}  // namespace flowd::firefly
