// SPDX-License-Identifier: Apache-2.0
// Tags in sockets, on real packets: a socket with a tag sends over loopback in a network namespace of its own.
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <stdexcept>

#include "bpf/socket_tag.h"
#include "flowd/label.hpp"
#include "flowd/unique_fd.hpp"
#include "lib/bpf/flow_key.hpp"
#include "lib/bpf/tcx.hpp"
#include "tests/unit/bpf/kernel.hpp"

namespace flowd::test {
namespace {

constexpr flowd_tag catch_all{3, 2};
constexpr flowd_tag announced{2, 16};

class SocketTag : public KernelTest {
  protected:
    void SetUp() override {
        KernelTest::SetUp();
        if (IsSkipped()) return;
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
        const UniqueFd any(::socket(AF_INET6, SOCK_DGRAM, 0));
        ifreq lo{};
        std::strcpy(lo.ifr_name, "lo");
        lo.ifr_flags = IFF_UP;
        ASSERT_EQ(::ioctl(any.get(), SIOCSIFFLAGS, &lo), 0);
        auto attached = bpf::TcxLink::attach(program_->ethernet(), loopback, bpf::Direction::egress);
        if (!attached) GTEST_SKIP() << "needs TCX: " << attached.error().message;
        link_.emplace(*std::move(attached));
        sniffer_ = UniqueFd(::socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IPV6)));
        const timeval patience{5, 0};
        ASSERT_EQ(::setsockopt(sniffer_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
        socket_ = UniqueFd(::socket(AF_INET6, SOCK_DGRAM, 0));
        sockaddr_in6 any_port{};
        any_port.sin6_family = AF_INET6;
        any_port.sin6_addr = in6addr_loopback;
        socklen_t size = sizeof any_port;
        ASSERT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&any_port), size), 0);
        ASSERT_EQ(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&any_port), &size), 0);
        ASSERT_EQ(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&any_port), size), 0);
        port_ = ntohs(any_port.sin6_port);
    }
    void tag_socket(socket_tag tag) {
        const int fd = socket_.get();
        ASSERT_EQ(bpf_map_update_elem(program_->socket_tags(), &fd, &tag, BPF_ANY), 0) << std::strerror(errno);
    }
    std::uint32_t sent_label() {
        EXPECT_EQ(::send(socket_.get(), "x", 1, 0), 1);
        Bytes frame(2048);
        const ssize_t got = ::recv(sniffer_.get(), frame.data(), frame.size(), 0);
        EXPECT_GT(got, 54);
        return label_at(frame, 14);
    }
    flowd_key own_key() const { return key(port_, port_, 17, "::1", "::1"); }
    std::uint32_t expected(flowd_tag tag) const {
        const flow_key kernel_key = bpf::to_flow_key(own_key());
        return *label::encode(tag, flow_entropy(flow_hash(&kernel_key)));
    }

    std::optional<bpf::TcxLink> link_;
    UniqueFd sniffer_;
    UniqueFd socket_;
    std::uint16_t port_ = 0;
};

TEST_F(SocketTag, IsBetweenTheFlowAndTheCatchAllInPrecedence) {
    set_catch_all(catch_all);
    tag_socket({511, 63});
    EXPECT_EQ(sent_label(), expected(catch_all)) << "nobody has said that sockets are worth looking at";
    table_->set_socket_tags(true);
    EXPECT_EQ(sent_label(), expected({511, 63}));
    tag_socket({1, 14});
    EXPECT_EQ(sent_label(), expected({1, 14}));
    clear_catch_all();
    EXPECT_EQ(sent_label(), expected({1, 14}));
    set_catch_all(catch_all);
    ASSERT_TRUE(table_->put(own_key(), announced));
    EXPECT_EQ(sent_label(), expected(announced));
    table_->remove(own_key());
    EXPECT_EQ(sent_label(), expected({1, 14}));
}

TEST_F(SocketTag, ThatCannotBeCarriedIsNotMarkedByTheCatchAllEither) {
    const std::uint32_t own = sent_label();
    set_catch_all(catch_all);
    table_->set_socket_tags(true);
    for (const socket_tag tag : {socket_tag{0, 0}, socket_tag{512, 1}, socket_tag{1, 64}}) {
        tag_socket(tag);
        EXPECT_EQ(sent_label(), own);
    }
    EXPECT_EQ((*program_->outcomes())[MARKER_UNMARKABLE_TAG], 3u);
}

TEST_F(SocketTag, AFlowWithTheTagOfTheCatchAllHasAnEntryOnceSocketTagsAreRead) {
    set_catch_all(catch_all);
    ASSERT_TRUE(table_->put(own_key(), catch_all));
    EXPECT_EQ(table_->size(), 0u) << "entries equal to the catch-all need none";
    EXPECT_TRUE(table_->is_relied_on());
    table_->set_socket_tags(true);
    ASSERT_TRUE(table_->put(own_key(), catch_all));
    tag_socket({1, 14});
    EXPECT_EQ(sent_label(), expected(catch_all)) << "the flow's own tag comes first";
}

TEST_F(SocketTag, TakesPrecedenceOverAMeteredFlow) {
    set_catch_all(catch_all);
    table_->set_socket_tags(true);
    tag_socket({1, 14});
    ASSERT_TRUE(table_->put(own_key(), catch_all, FLOWD_METERED));
    EXPECT_EQ(sent_label(), expected({1, 14})) << "a rule's tag beats a meter's, whoever announces the flow first";
    EXPECT_TRUE(table_->is_relied_on());
    ASSERT_TRUE(table_->put(own_key(), announced));
    EXPECT_EQ(sent_label(), expected(announced));
}

/// TCP connections over loopback whose client closes first: its last acknowledgement comes from TIME_WAIT.
class ClosedConnection : public SocketTag {
  protected:
    static constexpr unsigned fin = 0x01;
    static constexpr socket_tag rule{1, 14};

    void SetUp() override {
        SocketTag::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        table_->set_socket_tags(true);
        set_catch_all(catch_all);
        listener_ = tcp_socket();
        ASSERT_EQ(::listen(listener_.get(), 1), 0);
    }
    static sockaddr_in6 loopback_at(std::uint16_t port) {
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        address.sin6_addr = in6addr_loopback;
        address.sin6_port = htons(port);
        return address;
    }
    static std::uint16_t port_of(const UniqueFd& fd) {
        sockaddr_in6 address{};
        socklen_t size = sizeof address;
        EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
        return ntohs(address.sin6_port);
    }
    static UniqueFd tcp_socket(std::uint16_t port = 0) {
        UniqueFd fd(::socket(AF_INET6, SOCK_STREAM, 0));
        const int one = 1;
        EXPECT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
        const sockaddr_in6 address = loopback_at(port);
        EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        return fd;
    }
    void open(std::uint16_t port = 0, bool is_tagged = true) {
        client_ = tcp_socket(port);
        const int fd = client_.get();
        if (is_tagged) {
            ASSERT_EQ(bpf_map_update_elem(program_->socket_tags(), &fd, &rule, BPF_ANY), 0) << std::strerror(errno);
        }
        const sockaddr_in6 server = loopback_at(port_of(listener_));
        ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&server), sizeof server), 0) << std::strerror(errno);
        accepted_ = UniqueFd(::accept(listener_.get(), nullptr, nullptr));
        ASSERT_TRUE(accepted_);
    }
    struct Segment {
        bool is_of_client = false;
        unsigned flags = 0;
        std::uint32_t label = 0;
    };
    Segment next() {
        Bytes frame(2048);
        while (::recv(sniffer_.get(), frame.data(), frame.size(), 0) > 0) {
            const unsigned source = frame[54] << 8u | frame[55];
            const unsigned destination = frame[56] << 8u | frame[57];
            if (frame[20] == IPPROTO_TCP && (source == client_port_ || destination == client_port_))
                return {source == client_port_, frame[54 + 13], label_at(frame, 14)};
        }
        throw std::runtime_error("waited in vain for a segment");
    }
    /// Closes the client first, and the server once it has acknowledged that: the label of the client's last segment.
    std::uint32_t close_client_first() {
        client_port_ = port_of(client_);
        client_.reset();
        for (bool seen = false; !seen;)
            if (const Segment segment = next(); segment.is_of_client && (segment.flags & fin) != 0) seen = true;
        while (next().is_of_client) {
        }
        accepted_.reset();
        for (Segment segment = next();; segment = next())
            if (segment.is_of_client && (segment.flags & fin) == 0) return segment.label;
    }
    std::uint32_t label_of(flowd_tag tag) const {
        const flow_key kernel_key = bpf::to_flow_key(key(client_port_, port_of(listener_), IPPROTO_TCP, "::1", "::1"));
        return *label::encode(tag, flow_entropy(flow_hash(&kernel_key)));
    }

    UniqueFd listener_, client_, accepted_;
    unsigned client_port_ = 0;
};

TEST_F(ClosedConnection, CarriesItsSocketsTagInTheLastAcknowledgement) {
    open();
    const std::uint32_t label = close_client_first();
    EXPECT_EQ(label, label_of({1, 14}));
}

TEST_F(ClosedConnection, CarriesTheTagOfItsEndedFlowInTheLastAcknowledgement) {
    open(0, false);
    const flowd_key flow = key(port_of(client_), port_of(listener_), IPPROTO_TCP, "::1", "::1");
    ASSERT_TRUE(table_->put(flow, announced));
    client_port_ = port_of(client_);
    ASSERT_EQ(::shutdown(client_.get(), SHUT_WR), 0);
    table_->remove(flow);
    const std::uint32_t label = close_client_first();
    EXPECT_EQ(label, label_of(announced));
}

TEST_F(ClosedConnection, DoesNotAffectTheNextConnectionWithItsPorts) {
    open();
    const std::uint16_t port = port_of(client_);
    const linger reset{1, 0};
    ASSERT_EQ(::setsockopt(client_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    client_.reset();
    open(port, false);
    const std::uint32_t label = close_client_first();
    EXPECT_EQ(label, label_of(catch_all));
}

}  // namespace
}  // namespace flowd::test
