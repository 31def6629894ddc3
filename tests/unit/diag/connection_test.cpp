// SPDX-License-Identifier: Apache-2.0
#include "lib/diag/connection.hpp"

#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <netinet/in.h>

#include <cstring>
#include <string>
#include <vector>

namespace flowd::diag {
namespace {

/// A SOCK_DIAG_BY_FAMILY payload under construction.
class Message {
  public:
    Message(std::uint8_t family, const char* local, std::uint16_t local_port, const char* remote,
            std::uint16_t remote_port) {
        message_.idiag_family = family;
        message_.idiag_state = 1;
        message_.id.idiag_sport = htons(local_port);
        message_.id.idiag_dport = htons(remote_port);
        put(message_.id.idiag_src, local);
        put(message_.id.idiag_dst, remote);
        message_.id.idiag_cookie[0] = 0x11223344;
        message_.id.idiag_cookie[1] = 0x55667788;
        message_.idiag_uid = 1001;
    }
    Message& attribute(int type, const std::string& bytes) {
        const nlattr header{static_cast<std::uint16_t>(NLA_HDRLEN + bytes.size()), static_cast<std::uint16_t>(type)};
        attributes_.append(reinterpret_cast<const char*>(&header), sizeof header);
        attributes_.append(bytes);
        attributes_.resize((attributes_.size() + 3) & ~std::size_t{3});
        return *this;
    }
    [[nodiscard]] std::vector<std::byte> bytes() const {
        std::vector<std::byte> out(sizeof message_ + attributes_.size());
        std::memcpy(out.data(), &message_, sizeof message_);
        std::memcpy(out.data() + sizeof message_, attributes_.data(), attributes_.size());
        return out;
    }

  private:
    void put(__be32 (&words)[4], const char* text) const {
        const auto bytes = Address::parse(text).value().bytes();
        if (message_.idiag_family == AF_INET)
            std::memcpy(words, bytes.data() + 12, 4);
        else
            std::memcpy(words, bytes.data(), 16);
    }
    inet_diag_msg message_{};
    std::string attributes_;
};

TEST(Connection, HasItsEndsItsCookieAndItsUser) {
    const auto bytes = Message(AF_INET6, "2001:db8::1", 1094, "2001:db8::2", 40000).bytes();
    const auto connection = parse(bytes, IPPROTO_TCP).value();
    EXPECT_EQ(connection.local.to_string(), "[2001:db8::1]:1094");
    EXPECT_EQ(connection.remote.to_string(), "[2001:db8::2]:40000");
    EXPECT_EQ(connection.cookie, 0x5566778811223344u);
    EXPECT_EQ(connection.user, 1001u);
    EXPECT_EQ(connection.protocol, IPPROTO_TCP);
}

TEST(Connection, OfIPv4IsTheSameThroughEitherFamily) {
    const auto plain = Message(AF_INET, "192.0.2.1", 1, "192.0.2.2", 2).bytes();
    const auto mapped = Message(AF_INET6, "::ffff:192.0.2.1", 1, "::ffff:192.0.2.2", 2).bytes();
    EXPECT_EQ(parse(plain, IPPROTO_TCP)->local, parse(mapped, IPPROTO_TCP)->local);
    EXPECT_EQ(parse(plain, IPPROTO_TCP)->remote, parse(mapped, IPPROTO_TCP)->remote);
    EXPECT_EQ(parse(plain, IPPROTO_TCP)->local.to_string(), "192.0.2.1:1");
}

TEST(Connection, HasWhatTheKernelAttached) {
    const std::uint64_t group = 4711;
    const auto bytes = Message(AF_INET, "192.0.2.1", 1, "192.0.2.2", 2)
                           .attribute(INET_DIAG_CONG, std::string("bbr\0", 4))
                           .attribute(INET_DIAG_INFO, "0123456789")
                           .attribute(INET_DIAG_PROTOCOL, std::string(1, char{IPPROTO_UDP}))
                           .attribute(INET_DIAG_CGROUP_ID, std::string(reinterpret_cast<const char*>(&group), sizeof group))
                           .bytes();
    const auto connection = parse(bytes, IPPROTO_TCP).value();
    EXPECT_EQ(connection.congestion, "bbr");
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(connection.tcp_info.data), connection.tcp_info.length),
              "0123456789");
    EXPECT_EQ(connection.protocol, IPPROTO_UDP) << "the message's own word goes before what was asked";
    EXPECT_EQ(connection.cgroup, group);
}

TEST(Connection, TruncatedMessagesAreIgnored) {
    auto bytes = Message(AF_INET, "192.0.2.1", 1, "192.0.2.2", 2).attribute(INET_DIAG_CONG, "cubic").bytes();
    for (std::size_t length = 0; length < sizeof(inet_diag_msg); ++length)
        EXPECT_FALSE(parse(std::span(bytes).first(length), IPPROTO_TCP)) << length;
    // An attribute that claims more than there is, or less than itself.
    for (const std::uint16_t length : {std::uint16_t{200}, std::uint16_t{0}, std::uint16_t{3}}) {
        std::memcpy(bytes.data() + sizeof(inet_diag_msg), &length, sizeof length);
        EXPECT_FALSE(parse(bytes, IPPROTO_TCP)) << length;
    }
}

TEST(Connection, OtherFamiliesAreIgnored) {
    const auto bytes = Message(AF_UNIX, "::1", 1, "::1", 2).bytes();
    EXPECT_FALSE(parse(bytes, IPPROTO_TCP));
}

}  // namespace
}  // namespace flowd::diag
