// SPDX-License-Identifier: Apache-2.0
#include "lib/net/stun.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace flowd::net::stun {
namespace {

using Datagram = std::vector<std::byte>;

[[nodiscard]] Datagram bytes(std::initializer_list<unsigned> values) {
    Datagram datagram;
    for (const unsigned value : values) datagram.push_back(static_cast<std::byte>(value));
    return datagram;
}

[[nodiscard]] Datagram operator+(Datagram a, const Datagram& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

/// Transaction id of all vectors of RFC 5769, section 2.
constexpr TransactionId id{std::byte{0xb7}, std::byte{0xe7}, std::byte{0xa7}, std::byte{0x01},
                           std::byte{0xbc}, std::byte{0x34}, std::byte{0xd6}, std::byte{0x86},
                           std::byte{0xfa}, std::byte{0x87}, std::byte{0xdf}, std::byte{0xae}};

[[nodiscard]] Datagram message(unsigned type, const Datagram& attributes) {
    return bytes({type >> 8, type & 0xff, static_cast<unsigned>(attributes.size()) >> 8,
                  static_cast<unsigned>(attributes.size()) & 0xff, 0x21, 0x12, 0xa4, 0x42}) +
           Datagram(id.begin(), id.end()) + attributes;
}
[[nodiscard]] Datagram answer(const Datagram& attributes) {
    return message(0x0101, attributes);
}

const Datagram software = bytes({0x80, 0x22, 0, 11, 't', 'e', 's', 't', ' ', 'v', 'e', 'c', 't', 'o', 'r', ' '});
const Datagram xor_v4 = bytes({0x00, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43});
const Datagram xor_v6 = bytes({0x00, 0x20, 0,    20,   0,    2,    0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa,
                               0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9});
const Datagram plain_v4 = bytes({0x00, 0x01, 0, 8, 0, 1, 0x12, 0x34, 198, 51, 100, 7});

const Datagram rfc5769_v4 =
    answer(software + xor_v4 +
           bytes({0x00, 0x08, 0,    20,   0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9,
                  0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7, 0x80, 0x28, 0,    4,    0xc0, 0x7d, 0x4c, 0x96}));
const Datagram rfc5769_v6 =
    answer(software + xor_v6 +
           bytes({0x00, 0x08, 0,    20,   0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6, 0x7b, 0xf1, 0x17, 0x84, 0xc9, 0x7c,
                  0x82, 0x92, 0xc2, 0x75, 0xbf, 0xe3, 0xed, 0x41, 0x80, 0x28, 0,    4,    0xc8, 0xfb, 0x0b, 0x4c}));

/// The address, or "code: why".
[[nodiscard]] std::string read(const Datagram& datagram) {
    const auto endpoint = parse_binding_response(datagram, id);
    if (endpoint) return endpoint->to_string();
    return (endpoint.error().code == FLOWD_DENIED ? "denied: " : "invalid: ") + endpoint.error().message;
}
[[nodiscard]] bool refuses(const Datagram& datagram, std::string_view why) {
    const std::string text = read(datagram);
    return text.starts_with("invalid: ") && text.find(why) != std::string::npos;
}

TEST(StunTest, ReadsTheVectorsOfRfc5769) {
    ASSERT_EQ(rfc5769_v4.size(), 80u);
    ASSERT_EQ(rfc5769_v6.size(), 92u);
    EXPECT_EQ(read(rfc5769_v4), "192.0.2.1:32853");
    EXPECT_EQ(read(rfc5769_v6), "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

TEST(StunTest, ARequestIsAHeaderWithCookieAndId) {
    const auto request = binding_request(id);
    EXPECT_EQ(Datagram(request.begin(), request.end()), message(0x0001, {}));
}

TEST(StunTest, IdsAreUnique) {
    EXPECT_NE(random_id().value(), random_id().value());
}

TEST(StunTest, UsesMappedAddressIfThereIsNoXorMappedAddress) {
    EXPECT_EQ(read(answer(plain_v4)), "198.51.100.7:4660");
    EXPECT_EQ(read(answer(plain_v4 + xor_v4)), "192.0.2.1:32853") << "a NAT may have rewritten the plain one";
    EXPECT_EQ(read(answer(xor_v4 + xor_v6)), "192.0.2.1:32853") << "the first of a type counts";
}

TEST(StunTest, SkipsOptionalAndObsoleteAttributes) {
    EXPECT_EQ(read(answer(bytes({0xff, 0xff, 0, 0}) + xor_v4)), "192.0.2.1:32853");
    for (const unsigned old : {0x04u, 0x05u})
        EXPECT_EQ(read(answer(bytes({0, old, 0, 8, 0, 1, 0, 1, 1, 2, 3, 4}) + xor_v4)), "192.0.2.1:32853");
}

TEST(StunTest, IgnoresAttributesAfterMessageIntegrity) {
    const Datagram integrity = bytes({0, 8, 0, 4, 1, 2, 3, 4});
    EXPECT_TRUE(refuses(answer(integrity + xor_v4), "no address"));
    EXPECT_EQ(read(answer(plain_v4 + integrity + xor_v4)), "198.51.100.7:4660");
}

TEST(StunTest, RefusesTheAnswerToAnotherRequest) {
    for (std::size_t at = 8; at < 20; ++at) {
        Datagram other = rfc5769_v4;
        other[at] ^= std::byte{1};
        EXPECT_TRUE(refuses(other, "another request")) << at;
    }
}

TEST(StunTest, RefusesOtherMessagesThanABindingResponse) {
    EXPECT_TRUE(refuses({}, "too short"));
    EXPECT_TRUE(refuses(message(0x0001, xor_v4), "not a Binding response")) << "a request";
    EXPECT_TRUE(refuses(message(0x0011, xor_v4), "not a Binding response")) << "an indication";
    EXPECT_TRUE(refuses(message(0x0103, xor_v4), "not a Binding response")) << "another method";
    EXPECT_TRUE(refuses(message(0x4101, xor_v4), "not a Binding response")) << "the first two bits are zero";
    Datagram other = rfc5769_v4;
    other[4] ^= std::byte{1};
    EXPECT_TRUE(refuses(other, "magic cookie"));
}

TEST(StunTest, RefusesWrongLengths) {
    for (std::size_t length = 0; length < rfc5769_v6.size(); ++length)
        EXPECT_TRUE(refuses(Datagram(rfc5769_v6.begin(), rfc5769_v6.begin() + static_cast<std::ptrdiff_t>(length)), ""))
            << length;
    EXPECT_TRUE(refuses(rfc5769_v4 + bytes({0}), "length is wrong"));
    EXPECT_TRUE(refuses(answer(xor_v4 + bytes({0, 0})), "length is wrong")) << "no multiple of four";
    EXPECT_TRUE(refuses(answer(bytes({0x80, 0x22, 0, 5, 1, 2, 3, 4})), "longer than the message"));
    EXPECT_TRUE(refuses(answer(bytes({0x80, 0x22, 0xff, 0xff})), "longer than the message"));
    EXPECT_TRUE(refuses(answer({}), "no address"));
}

TEST(StunTest, RefusesAMalformedAddress) {
    EXPECT_TRUE(refuses(answer(bytes({0, 0x20, 0, 8, 0, 2, 1, 2, 1, 2, 3, 4})), "malformed")) << "IPv6 in four bytes";
    EXPECT_TRUE(refuses(answer(bytes({0, 0x20, 0, 8, 0, 3, 1, 2, 1, 2, 3, 4})), "malformed")) << "no family";
    EXPECT_TRUE(refuses(answer(bytes({0, 0x20, 0, 4, 0, 1, 1, 2})), "malformed")) << "no address";
    EXPECT_TRUE(refuses(answer(bytes({0, 0x20, 0, 0}) + plain_v4), "malformed")) << "no falling back to the other";
}

TEST(StunTest, RefusesUnknownComprehensionRequiredAttributes) {
    EXPECT_TRUE(refuses(answer(xor_v4 + bytes({0x7f, 0xff, 0, 0})), "32767"));
}

TEST(StunTest, DistinguishesAnErrorResponseFromMalformedData) {
    EXPECT_EQ(read(message(0x0111, bytes({0, 9, 0, 4, 0, 0, 4, 20}))), "denied: the server answered with error 420");
    EXPECT_EQ(
        read(message(0x0111, bytes({0, 9, 0, 4, 0, 0, 4, 1, 0, 0x14, 0, 1, 'r', 0, 0, 0, 0, 0x15, 0, 1, 'n', 0, 0, 0}))),
        "denied: the server answered with error 401")
        << "it wants credentials";
    EXPECT_EQ(read(message(0x0111, {})), "denied: the server answered with an error");
}

}  // namespace
}  // namespace flowd::net::stun
