// SPDX-License-Identifier: Apache-2.0
#include "lib/firefly/printer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "flowd/address.hpp"
#include "lib/firefly/address_text.hpp"
#include "lib/firefly/timestamp.hpp"
#include "tests/unit/firefly/fixtures.hpp"

namespace flowd::firefly {
namespace {

using fixtures::endpoint;

class FireflyPrinter : public ::testing::Test {
  protected:
    FireflyPrinter() {
        firefly_.state = State::end;
        firefly_.key =
            make_key(endpoint("2001:0DB8:0:0:1:0:0:1", 5001), endpoint("2001:db8:0:1:1:1:1:1", 443), IPPROTO_TCP);
        firefly_.tag = {2, 16};
        firefly_.start_time_ns = parse_timestamp("2026-02-24T16:56:42.251384Z").value();
        firefly_.end_time_ns = parse_timestamp("2026-02-24T16:57:42.1Z").value();
        firefly_.current_time_ns = parse_timestamp("2026-02-24T16:57:42.2Z").value();
        options_.host = "se1.example.org";
        options_.application = "flowd-cpp v0.1.0";
    }
    Printed print() {
        printer_ = Printer(options_);
        return printer_.print(firefly_, layout_);
    }
    std::string text() { return std::string(print().text); }

    PrinterOptions options_;
    Layout layout_;
    Printer printer_{PrinterOptions{}};
    Firefly firefly_;
};

TEST_F(FireflyPrinter, WritesAnEndWithAllMembersForTheReferenceCollector) {
    firefly_.has_usage = true;
    firefly_.received = 813;
    firefly_.sent = 10507049000;
    firefly_.rtt_ms = 101;
    EXPECT_EQ(
        text(),
        R"(<134>1 2026-02-24T16:57:42.200000+00:00 se1.example.org flowd-cpp - firefly-json - {"version":1,"flow-lifecycle":{"state":"end","current-time":"2026-02-24T16:57:42.200000+00:00","start-time":"2026-02-24T16:56:42.251384+00:00","end-time":"2026-02-24T16:57:42.100000+00:00"},"flow-id":{"afi":"ipv6","src-ip":"2001:db8::1:0:0:1","dst-ip":"2001:db8:0:1:1:1:1:1","protocol":"tcp","src-port":5001,"dst-port":443},"context":{"experiment-id":2,"activity-id":16,"application":"flowd-cpp v0.1.0"},"usage":{"received":813,"sent":10507049000},"netlink":{"rtt":101.0}})");
}

TEST(AddressText, IsThatOfInetNtop) {
    const auto both = [](const Address& address) {
        std::array<char, INET6_ADDRSTRLEN> buffer{};
        EXPECT_EQ(print_address(address, buffer), address.to_string());
    };
    for (const char* text :
         {"192.0.2.255", "0.0.0.0", "::", "::1", "::1:0", "::192.0.2.1", "::ffff:0:0:1", "1::", "1:0:0:1::", "1::1:0:0:1",
          "2001:db8:0:1:1:1:1:1", "2001:db8::1:0:0:1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"})
        both(Address::parse(text).value());
    for (const char* text : {"192.0.2.1", "2001:db8::1"}) {
        const Endpoint endpoint{Address::parse(text).value(), 65535};
        std::string written("peer ");
        append_endpoint(written, endpoint);
        EXPECT_EQ(written, "peer " + endpoint.to_string());
    }
    std::mt19937 random(20);
    // Few distinct bytes: runs of zeros of every length and at every place.
    for (int i = 0; i < 200'000; ++i) {
        Address::Bytes bytes{};
        for (auto& byte : bytes) byte = random() % 3 == 0 ? static_cast<std::uint8_t>(random()) : 0;
        both(Address(bytes));
    }
}

TEST(AddressText, IsReadAsByInetPton) {
    const auto both = [](std::string_view text) { EXPECT_EQ(parse_address(text), Address::parse(text)) << text; };
    for (const std::string_view text : {"",
                                        ":",
                                        "::",
                                        ":::",
                                        "::::",
                                        "1::2::3",
                                        "1:2:3:4:5:6:7:8",
                                        "1:2:3:4:5:6:7:8:",
                                        "1:2:3:4:5:6:7:8:9",
                                        "1:2:3:4:5:6:7:8::",
                                        "::1:2:3:4:5:6:7:8",
                                        "1:2:3:4:5:6:7::",
                                        "::2:3:4:5:6:7:8",
                                        "1::2:3:4:5:6:7:8",
                                        "1:",
                                        "1::",
                                        ":1",
                                        "12345::",
                                        "00001::",
                                        "0001::",
                                        "ABCD::ef",
                                        "g::",
                                        "+1::",
                                        "-1::",
                                        "0x1::",
                                        " ::1",
                                        "::1 ",
                                        "::ffff:192.0.2.1",
                                        "::192.0.2.1",
                                        "1:2:3:4:5:6:192.0.2.1",
                                        "[2001:db8::1]",
                                        "[::1",
                                        "fe80::1%eth0",
                                        "fe80::1%",
                                        "192.0.2.1",
                                        "192.0.2.01",
                                        "192.0.2.00",
                                        "192.0.2.0",
                                        "192.0.2.256",
                                        "192.0.2.",
                                        ".192.0.2",
                                        "192.0.2",
                                        "192.0.2.1.1",
                                        "192..2.1",
                                        "1.2.3.4 ",
                                        "+1.2.3.4",
                                        "[192.0.2.1]",
                                        "192.0.2.0001",
                                        "host.example"})
        both(text);
    both(std::string_view("::1\0", 4));
    std::mt19937 random(22);
    constexpr std::string_view characters = "0012afA.::::%[";
    std::string text;
    for (int i = 0; i < 500'000; ++i) {
        text.clear();
        for (std::size_t length = random() % 20; text.size() < length;) text += characters[random() % characters.size()];
        both(text);
    }
    // And changes of one character in what is an address.
    for (int i = 0; i < 200'000; ++i) {
        Address::Bytes bytes{};
        for (auto& byte : bytes) byte = random() % 3 == 0 ? static_cast<std::uint8_t>(random()) : 0;
        text = Address(bytes).to_string();
        both(text);
        text[random() % text.size()] = characters[random() % characters.size()];
        both(text);
    }
}

// case C11
TEST_F(FireflyPrinter, WithPrivacyPrintsNeitherApplicationNorHostsNorReceivedBlocks) {
    const std::array<Block, 2> blocks{Block{"storage-stats", R"({"path":"/atlas/user"})", {}, true},
                                      Block{"skOps", R"({"rtt":2.5})"}};
    firefly_.application = "xrootd";
    firefly_.blocks = blocks;
    const std::string whole = text();
    EXPECT_NE(whole.find("/atlas/user"), std::string::npos);
    layout_.privacy.omit_application = true;
    EXPECT_NE(text().find(R"("application":"flowd-cpp v0.1.0"},"skOps":{"rtt":2.5}})"), std::string::npos) << text();
    EXPECT_NE(text().find("2001:db8::1:0:0:1"), std::string::npos);
    layout_.privacy = {false, true};
    EXPECT_NE(text().find(R"("src-ip":"2001:db8::","dst-ip":"2001:db8:0:1::")"), std::string::npos) << text();
    EXPECT_NE(text().find(R"("application":"xrootd"},"skOps":{"rtt":2.5}})"), std::string::npos) << text();
    firefly_.key = make_key(endpoint("192.0.2.17", 1), endpoint("::1", 2), IPPROTO_TCP);
    EXPECT_NE(text().find(R"("src-ip":"192.0.2.0","dst-ip":"::1")"), std::string::npos)
        << "nothing would remain: " << text();
    layout_.privacy = {};
    firefly_.key = make_key(endpoint("2001:0DB8:0:0:1:0:0:1", 5001), endpoint("2001:db8:0:1:1:1:1:1", 443), IPPROTO_TCP);
    EXPECT_EQ(text(), whole);
}

TEST_F(FireflyPrinter, TruncatesALongHostName) {
    options_.host = std::string(300, 'h');
    const std::string line = text();
    const auto first = line.find('h');
    EXPECT_EQ(line.find_first_not_of('h', first) - first, 255u) << "RFC 5424 section 6";
}

TEST_F(FireflyPrinter, WritesAStartWithoutEndTimeAndIpv4WithoutItsMapping) {
    layout_.syslog_header = false;
    firefly_.state = State::start;
    firefly_.key = make_key(endpoint("::ffff:192.0.2.1", 1), endpoint("198.51.100.2", 65535), IPPROTO_UDP);
    firefly_.application = "xrdcp";
    EXPECT_EQ(
        text(),
        R"({"version":1,"flow-lifecycle":{"state":"start","current-time":"2026-02-24T16:57:42.200000+00:00","start-time":"2026-02-24T16:56:42.251384+00:00"},"flow-id":{"afi":"ipv4","src-ip":"192.0.2.1","dst-ip":"198.51.100.2","protocol":"udp","src-port":1,"dst-port":65535},"context":{"experiment-id":2,"activity-id":16,"application":"xrdcp"}})");
}

TEST_F(FireflyPrinter, NeverLeavesATimeEmpty) {
    firefly_.start_time_ns = 0;
    EXPECT_NE(text().find(R"("start-time":"2026-02-24T16:57:42.100000+00:00")"), std::string::npos)
        << "an end: its own time";
    firefly_.end_time_ns = 0;
    EXPECT_NE(text().find(R"("end-time":"2026-02-24T16:57:42.200000+00:00")"), std::string::npos);
    firefly_.state = State::ongoing;
    EXPECT_NE(text().find(R"("start-time":"2026-02-24T16:57:42.200000+00:00")"), std::string::npos);
}

TEST_F(FireflyPrinter, RepeatsBlocksUnchanged) {
    const std::array<Block, 2> blocks{Block{"storage-stats", R"({"read-bw":1})"},
                                      Block{"netlink", R"({"rtt":2.5,"cong":"bbr"})"}};
    firefly_.blocks = blocks;
    firefly_.rtt_ms = 2.5;
    EXPECT_TRUE(text().ends_with(R"(,"netlink":{"rtt":2.5,"cong":"bbr"},"storage-stats":{"read-bw":1}})")) << text();
}

TEST_F(FireflyPrinter, EscapesTheApplication) {
    firefly_.application = "a\"b\\c\xff\n";
    EXPECT_NE(text().find("\"application\":\"a\\\"b\\\\c\xef\xbf\xbd_\"}"), std::string::npos) << text();
}

TEST_F(FireflyPrinter, TruncatesALongApplicationAtACharacter) {
    const std::string name = std::string(max_application - 1, 'x') + "\xc3\xa9";
    firefly_.application = name;
    EXPECT_NE(text().find("\"" + std::string(max_application - 1, 'x') + "\""), std::string::npos) << text();
}

TEST_F(FireflyPrinter, MakesAHostNameFitTheHeader) {
    options_.host = "a b\n";
    EXPECT_NE(text().find("+00:00 a_b_ flowd-cpp - firefly-json - {"), std::string::npos) << text();
    options_.host = "";
    EXPECT_NE(text().find("+00:00 - flowd-cpp - firefly-json - {"), std::string::npos);
}

TEST_F(FireflyPrinter, OmitsTheLeastImportantBlocksFirst) {
    layout_.syslog_header = false;
    const std::string big(100, '7');
    const std::string netlink = R"({"rtt":2.5,"n":)" + big + "}";
    const std::array<Block, 5> blocks{Block{"a", big}, Block{"skOps", big}, Block{"netlink", netlink}, Block{"b", big},
                                      Block{"storage-stats", big}};
    firefly_.has_usage = true;
    firefly_.rtt_ms = 2.5;
    const std::size_t core = text().size();
    firefly_.blocks = blocks;

    // Each step shrinks the room by one byte below what the former result took, and looks at what is left out.
    std::vector<std::string> names;
    layout_.max_size = text().size();
    EXPECT_EQ(print().left_out, 0u);
    for (const char* gone : {"\"b\":", "\"a\":", "storage-stats", "skOps", "\"n\":"}) {
        ASSERT_NE(text().find(gone), std::string::npos) << gone << " in " << text();
        layout_.max_size = text().size() - 1;
        EXPECT_EQ(text().find(gone), std::string::npos) << gone << " in " << text();
        EXPECT_LE(text().size(), layout_.max_size);
        names.emplace_back(gone);
        EXPECT_EQ(print().left_out + print().shortened, names.size());
    }
    EXPECT_EQ(print().shortened, 1u);
    EXPECT_EQ(text().size(), core) << "netlink is down to its rtt";
    layout_.max_size = core - 1;
    EXPECT_EQ(text().find("netlink"), std::string::npos);
    EXPECT_NE(text().find("usage"), std::string::npos);
    layout_.max_size = text().size() - 1;
    EXPECT_EQ(text().find("usage"), std::string::npos);
    layout_.max_size = text().size() - 1;
    EXPECT_EQ(text(), "") << "the core is never cut";
}

TEST_F(FireflyPrinter, UsesTheShortFormOfABlockBeforeItOmitsIt) {
    const std::array<Block, 2> blocks{
        Block{"netlink", R"({"rtt":2.5,"long":"xxxxxxxxxxxxxxxxxx"})", R"({"rtt":2.5,"lean":1})"},
        Block{"skOps", R"({"long":"yyyyyyyyyyyyyyyyyy"})", R"({"lean":2})"}};
    firefly_.blocks = blocks;
    firefly_.rtt_ms = 2.5;
    EXPECT_TRUE(print().whole());
    std::vector<std::string> tails;
    for (std::size_t size = text().size() - 1; tails.size() < 5; layout_.max_size = --size) {
        layout_.max_size = size;
        const std::string tail = text().substr(text().find(R"("application")"));
        if (tails.empty() || tails.back() != tail) tails.push_back(tail);
    }
    const std::string begin = R"("application":"flowd-cpp v0.1.0"})";
    EXPECT_EQ(tails[0], begin + R"(,"netlink":{"rtt":2.5,"long":"xxxxxxxxxxxxxxxxxx"},"skOps":{"lean":2}})");
    EXPECT_EQ(tails[1], begin + R"(,"netlink":{"rtt":2.5,"long":"xxxxxxxxxxxxxxxxxx"}})");
    EXPECT_EQ(tails[2], begin + R"(,"netlink":{"rtt":2.5,"lean":1}})");
    EXPECT_EQ(tails[3], begin + R"(,"netlink":{"rtt":2.5}})");
    EXPECT_EQ(tails[4], begin + "}");
}

TEST_F(FireflyPrinter, RequiredMembersFitTheMinimumSize) {
    options_.host = std::string(64, 'h');
    layout_.max_size = least_max_size;
    firefly_.key = make_key(endpoint("2001:db8:1111:1111:1111:1111:1111:1111", 65535),
                            endpoint("2001:db8:1111:1111:1111:1111:1111:1112", 65535), IPPROTO_TCP);
    firefly_.tag = {4294967295, 4294967295};
    const std::string name(max_application, '\xff');  // becomes three bytes each
    firefly_.application = name;
    firefly_.has_usage = true;
    firefly_.received = firefly_.sent = ~0ull;
    EXPECT_FALSE(text().empty());
    const std::string plain(max_application, 'x');
    firefly_.application = plain;
    firefly_.rtt_ms = 1.0 / 3;
    EXPECT_EQ(print().left_out, 0u);
}

}  // namespace
}  // namespace flowd::firefly
