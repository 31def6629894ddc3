// SPDX-License-Identifier: Apache-2.0
#include "plugins/namedpipe/line.hpp"

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "flowd/address.hpp"

namespace flowd::namedpipe {

void PrintTo(Refusal refusal, std::ostream* out) {
    *out << name_of(refusal);
}

namespace {

constexpr std::uint32_t start = FLOWD_EVENT_START, end = FLOWD_EVENT_END, ongoing = FLOWD_EVENT_ONGOING;

struct Understood {
    const char* what;
    std::string text;
    std::uint32_t kind;
    std::uint8_t protocol;
    const char* source;
    const char* destination;
    std::uint32_t experiment, activity;
};

class UnderstoodLine : public ::testing::TestWithParam<Understood> {};

TEST_P(UnderstoodLine, IsParsed) {
    const Understood& expected = GetParam();
    Line line;
    ASSERT_EQ(parse(expected.text, line), Refusal::none) << expected.what;
    EXPECT_EQ(line.kind, expected.kind);
    EXPECT_EQ(line.key.protocol, expected.protocol);
    EXPECT_EQ(source_of(line.key).to_string(), expected.source);
    EXPECT_EQ(destination_of(line.key).to_string(), expected.destination);
    EXPECT_EQ(line.tag.experiment, expected.experiment);
    EXPECT_EQ(line.tag.activity, expected.activity);
}

INSTANTIATE_TEST_SUITE_P(
    Writers, UnderstoodLine,
    ::testing::Values(Understood{"flowd's documentation, start", "start tcp 192.168.0.1 2345 192.168.0.2 5777 1 2", start,
                                 6, "192.168.0.1:2345", "192.168.0.2:5777", 1, 2},
                      Understood{"flowd's documentation, end", "end tcp 192.168.0.1 2345 192.168.0.2 5777 1 2", end, 6,
                                 "192.168.0.1:2345", "192.168.0.2:5777", 1, 2},
                      Understood{"StoRM, third-party copy: uncompressed IPv6",
                                 "start tcp 2001:db8:301:cd:0:0:100:14d 443 2001:db8:0:8421:f0:0:188:54 38084 2 16", start,
                                 6, "[2001:db8:301:cd::100:14d]:443", "[2001:db8:0:8421:f0:0:188:54]:38084", 2, 16},
                      Understood{"StoRM, third-party copy: a zone",
                                 "start tcp fe80:0:0:0:0:0:0:1%eth0 443 fe80::2%2 38084 2 16", start, 6, "[fe80::1]:443",
                                 "[fe80::2]:38084", 2, 16},
                      Understood{"StoRM behind Jetty: brackets",
                                 "start tcp [2001:db8:301:cd:0:0:100:14d] 8443 [2001:db8:0:8421:f0:0:188:54] 38084 2 16",
                                 start, 6, "[2001:db8:301:cd::100:14d]:8443", "[2001:db8:0:8421:f0:0:188:54]:38084", 2, 16},
                      Understood{"NGINX: the activity first; matched by the tuple, so nobody minds",
                                 "end tcp 2001:db8::14d 8443 2001:db8::54 38084 16 2", end, 6, "[2001:db8::14d]:8443",
                                 "[2001:db8::54]:38084", 16, 2},
                      Understood{"NGINX without a SciTag header", "end tcp 2001:db8::14d 8443 2001:db8::54 38084 - -", end,
                                 6, "[2001:db8::14d]:8443", "[2001:db8::54]:38084", 0, 0},
                      Understood{"half a tag", "start tcp 2001:db8::14d 8443 2001:db8::54 38084 5 -", start, 6,
                                 "[2001:db8::14d]:8443", "[2001:db8::54]:38084", 0, 0},
                      Understood{"much space, mixed case", "START   TCP         ::1 2345       ::1 5777 1 2", start, 6,
                                 "[::1]:2345", "[::1]:5777", 1, 2},
                      Understood{"tabs, a carriage return, blanks around", " \tstArt\tuDp ::1 2345\t::2  5777 1 2 \r",
                                 start, 17, "[::1]:2345", "[::2]:5777", 1, 2},
                      Understood{"IPv4 in IPv6 clothes", "start tcp ::ffff:192.0.2.1 2345 ::FFFF:C000:202 5777 1 2", start,
                                 6, "192.0.2.1:2345", "192.0.2.2:5777", 1, 2},
                      Understood{"IPv4 once with, once without", "start tcp ::ffff:192.0.2.1 2345 192.0.2.2 5777 1 2",
                                 start, 6, "192.0.2.1:2345", "192.0.2.2:5777", 1, 2},
                      Understood{"an invalid SciTag", "start tcp 192.168.0.1 2345 192.168.0.2 5777 0 0", start, 6,
                                 "192.168.0.1:2345", "192.168.0.2:5777", 0, 0},
                      Understood{"ongoing", "ongoing tcp 192.0.2.1 1 192.0.2.2 65535 4294967295 511", ongoing, 6,
                                 "192.0.2.1:1", "192.0.2.2:65535", 4294967295, 511}));

struct Refused {
    Refusal why;
    std::string text;
};

class RefusedLine : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedLine, IsRefusedWithItsReason) {
    Line line;
    EXPECT_EQ(parse(GetParam().text, line), GetParam().why) << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(
    Nonsense, RefusedLine,
    ::testing::Values(
        Refused{Refusal::field_count, ""}, Refused{Refusal::field_count, "start"},
        Refused{Refusal::field_count, "start tcp ::1 1 ::2 2 1"},
        Refused{Refusal::field_count, "start tcp ::1 1 ::2 2 1 2 3"},
        Refused{Refusal::field_count, "start tcp ::1 1 ::2 2 1 2start tcp ::1 1 ::2 2 1 2"},
        Refused{Refusal::bad_state, "starts tcp ::1 1 ::2 2 1 2"}, Refused{Refusal::bad_state, "star tcp ::1 1 ::2 2 1 2"},
        Refused{Refusal::bad_protocol, "start sctp ::1 1 ::2 2 1 2"},
        Refused{Refusal::bad_protocol, "start 6 ::1 1 ::2 2 1 2"},
        Refused{Refusal::bad_address, "start tcp localhost 1 ::2 2 1 2"},
        Refused{Refusal::bad_address, "start tcp ::1 1 - 2 1 2"}, Refused{Refusal::bad_address, "start tcp :: 1 ::2 2 1 2"},
        Refused{Refusal::bad_address, "start tcp [::1 1 ::2 2 1 2"},
        Refused{Refusal::bad_address, "start tcp 192.0.2.01 1 192.0.2.2 2 1 2"},
        Refused{Refusal::bad_address, std::string("start tcp ::1\0 1 ::2 2 1 2", 26)},
        Refused{Refusal::bad_family, "start tcp ::1 1 192.0.2.2 2 1 2"},
        Refused{Refusal::bad_port, "start tcp ::1 65536 ::2 2 1 2"},
        Refused{Refusal::bad_port, "start tcp ::1 -1 ::2 2 1 2"}, Refused{Refusal::bad_port, "start tcp ::1 1 ::2 +2 1 2"},
        Refused{Refusal::bad_port, "start tcp ::1 1 ::2 http 1 2"},
        Refused{Refusal::bad_port, "start tcp ::1 0x1 ::2 2 1 2"}, Refused{Refusal::port_zero, "start tcp ::1 0 ::2 2 1 2"},
        Refused{Refusal::port_zero, "start tcp ::1 1 ::2 0 1 2"}, Refused{Refusal::bad_tag, "start tcp ::1 1 ::2 2 -1 2"},
        Refused{Refusal::bad_tag, "start tcp ::1 1 ::2 2 1 4294967296"},
        Refused{Refusal::bad_tag, "start tcp ::1 1 ::2 2 atlas 2"}, Refused{Refusal::bad_tag, "start tcp ::1 1 ::2 2 1 --"},
        Refused{Refusal::too_long, "start tcp ::1 1 ::2 2 1 2" + std::string(longest_line, ' ')}));

TEST(BlankLine, IsIgnored) {
    EXPECT_TRUE(is_blank(""));
    EXPECT_TRUE(is_blank(" \t\r"));
    EXPECT_FALSE(is_blank(" x"));
}

}  // namespace
}  // namespace flowd::namedpipe
