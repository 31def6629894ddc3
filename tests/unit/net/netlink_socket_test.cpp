// SPDX-License-Identifier: Apache-2.0
// Dumps from a fake kernel at the other end of a pair of sockets.
#include "lib/netlink/socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "flowd/unique_fd.hpp"

namespace flowd::nl {
namespace {

constexpr std::uint16_t object_type = 20;

/// Answers the nth request with what `answers` makes of the request's sequence number.
class FakeKernel {
  public:
    using Datagram = std::vector<std::byte>;
    using Answer = std::function<std::vector<Datagram>(std::uint32_t sequence)>;

    explicit FakeKernel(std::vector<Answer> answers, int interrupt = -1) {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error("socketpair");
        ours_.emplace(Socket::adopt(UniqueFd(ends[0]), interrupt).value());
        theirs_.reset(ends[1]);
        thread_ = std::thread([this, answers = std::move(answers)] {
            for (const Answer& answer : answers) {
                nlmsghdr request{};
                if (::recv(theirs_.get(), &request, sizeof request, MSG_TRUNC) < static_cast<ssize_t>(sizeof request))
                    return;
                EXPECT_EQ(request.nlmsg_len, NLMSG_LENGTH(sizeof(ifinfomsg)));
                ++asked_;
                EXPECT_EQ(request.nlmsg_flags, NLM_F_REQUEST | NLM_F_DUMP);
                for (const Datagram& datagram : answer(request.nlmsg_seq))
                    EXPECT_EQ(::send(theirs_.get(), datagram.data(), datagram.size(), 0),
                              static_cast<ssize_t>(datagram.size()));
            }
        });
    }
    ~FakeKernel() {
        ours_.reset();
        thread_.join();
    }
    [[nodiscard]] Socket& socket() { return *ours_; }
    int asked() {
        ours_.reset();
        thread_.join();
        thread_ = std::thread([] {});
        return asked_;
    }

    static void add(Datagram& to, std::uint16_t type, std::uint32_t sequence, std::int32_t value,
                    std::uint16_t flags = NLM_F_MULTI) {
        nlmsghdr header{};
        header.nlmsg_len = NLMSG_LENGTH(sizeof value);
        header.nlmsg_type = type;
        header.nlmsg_flags = flags;
        header.nlmsg_seq = sequence;
        const std::size_t at = to.size();
        to.resize(at + NLMSG_SPACE(sizeof value));
        std::memcpy(to.data() + at, &header, sizeof header);
        std::memcpy(to.data() + at + NLMSG_HDRLEN, &value, sizeof value);
    }
    static Answer list(std::vector<std::int32_t> values, std::int32_t status = 0, std::uint16_t flags = 0) {
        return [=](std::uint32_t sequence) {
            std::vector<Datagram> datagrams;
            for (const std::int32_t value : values)
                add(datagrams.emplace_back(), object_type, sequence, value,
                    static_cast<std::uint16_t>(NLM_F_MULTI | flags));
            add(datagrams.emplace_back(), NLMSG_DONE, sequence, status);
            return datagrams;
        };
    }

  private:
    std::optional<Socket> ours_;
    UniqueFd theirs_;
    std::thread thread_;
    int asked_ = 0;
};

struct Dump {
    Result<void> run(Socket& socket) {
        return socket.dump(
            RTM_GETLINK, ifinfomsg{},
            [this](const Message& message) {
                ASSERT_EQ(message.payload().size(), sizeof(std::int32_t));
                seen.push_back(*message.body<std::int32_t>());
            },
            [this] {
                ++restarts;
                seen.clear();
            });
    }
    std::vector<std::int32_t> seen;
    int restarts = 0;
};

TEST(NetlinkDump, ReturnsCompleteLists) {
    FakeKernel kernel({FakeKernel::list({1, 2, 3}), FakeKernel::list({})});
    Dump dump;
    ASSERT_TRUE(dump.run(kernel.socket()));
    EXPECT_EQ(dump.seen, (std::vector<std::int32_t>{1, 2, 3}));
    ASSERT_TRUE(dump.run(kernel.socket()));
    EXPECT_EQ(dump.restarts, 0);
}

// case C51
TEST(NetlinkDump, AnInterruptedDumpIsRepeated) {
    FakeKernel kernel({FakeKernel::list({1, 2}, 0, NLM_F_DUMP_INTR), FakeKernel::list({1, 9}, 0, NLM_F_DUMP_INTR),
                       FakeKernel::list({4, 5})});
    Dump dump;
    ASSERT_TRUE(dump.run(kernel.socket()));
    EXPECT_EQ(dump.seen, (std::vector<std::int32_t>{4, 5})) << "nothing is left of the lists that were in flux";
    EXPECT_EQ(dump.restarts, 2);
}

TEST(NetlinkDump, ADumpThatIsAlwaysInterruptedIsAnErrorAfterAFewAttempts) {
    FakeKernel kernel(std::vector<FakeKernel::Answer>(100, FakeKernel::list({1}, 0, NLM_F_DUMP_INTR)));
    Dump dump;
    const auto done = dump.run(kernel.socket());
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find("changed"), std::string::npos) << done.error().message;
    const int asked = kernel.asked();
    EXPECT_GT(asked, 1);
    EXPECT_LT(asked, 20);
}

// case C51
TEST(NetlinkDump, AnErrorInTheLastMessageIsReturned) {
    FakeKernel kernel({FakeKernel::list({}, -ENOENT), FakeKernel::list({1})});
    Dump dump;
    const auto done = dump.run(kernel.socket());
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, FLOWD_NOT_FOUND);
    EXPECT_TRUE(dump.run(kernel.socket())) << "the next dump starts afresh";
}

/// NLMSG_ERROR; with a text, as after NETLINK_EXT_ACK.
FakeKernel::Answer refusal(int number, std::string_view text = {}) {
    return [number, text = std::string(text)](std::uint32_t sequence) {
        FakeKernel::Datagram datagram(1024);
        nlmsghdr* const header = mnl_nlmsg_put_header(datagram.data());
        header->nlmsg_type = NLMSG_ERROR;
        header->nlmsg_seq = sequence;
        static_cast<nlmsgerr*>(mnl_nlmsg_put_extra_header(header, sizeof(nlmsgerr)))->error = -number;
        if (!text.empty()) {
            header->nlmsg_flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
            mnl_attr_put_strz(header, NLMSGERR_ATTR_MSG, text.c_str());
        }
        datagram.resize(header->nlmsg_len);
        return std::vector<FakeKernel::Datagram>{datagram};
    };
}

TEST(NetlinkDump, ARefusalHasTheErrno) {
    FakeKernel kernel({refusal(EPERM)});
    Dump dump;
    const auto done = dump.run(kernel.socket());
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, FLOWD_DENIED);
}

TEST(NetlinkDump, ARefusalHasTheKernelsText) {
    FakeKernel kernel({refusal(ENODEV, "Unknown device")});
    Dump dump;
    const auto done = dump.run(kernel.socket());
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, "netlink: No such device (Unknown device)");
}

TEST(NetlinkDump, AStopInterruptsAKernelThatDoesNotAnswer) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd stop(ends[0]);
    UniqueFd stopper(ends[1]);
    FakeKernel kernel({[&](std::uint32_t) {
                          stopper.reset();
                          return std::vector<FakeKernel::Datagram>{};
                      }},
                      stop.get());
    Dump dump;
    const auto done = dump.run(kernel.socket());
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, FLOWD_STOPPED);
}

TEST(NetlinkDump, AKernelThatDoesNotAnswerIsAnErrorAfterASecond) {
    FakeKernel kernel({[](std::uint32_t) { return std::vector<FakeKernel::Datagram>{}; }});
    Dump dump;
    const auto done = dump.run(kernel.socket());
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find("did not answer"), std::string::npos) << done.error().message;
}

TEST(NetlinkDump, MessagesOfAnEarlierDumpAreIgnored) {
    FakeKernel kernel({[](std::uint32_t sequence) {
        auto datagrams = FakeKernel::list({7, 8})(sequence - 1);
        for (auto& datagram : FakeKernel::list({1})(sequence)) datagrams.push_back(std::move(datagram));
        return datagrams;
    }});
    Dump dump;
    ASSERT_TRUE(dump.run(kernel.socket()));
    EXPECT_EQ(dump.seen, (std::vector<std::int32_t>{1}));
}

TEST(NetlinkDump, TheKernelListsTheLoopbackInterface) {
    auto socket = Socket::open(NETLINK_ROUTE);
    ASSERT_TRUE(socket) << socket.error().message;
    bool is_there = false;
    const auto done = socket->dump(
        RTM_GETLINK, ifinfomsg{},
        [&](const Message& message) {
            message.attributes(sizeof(ifinfomsg), [&](const Attribute& attribute) {
                if (attribute.type() == IFLA_IFNAME && attribute.text() == "lo") is_there = true;
            });
        },
        [&] { is_there = false; });
    EXPECT_TRUE(done) << done.error().message;
    EXPECT_TRUE(is_there);
}

TEST(NetlinkAttributes, TruncatedAttributesAreNotRead) {
    alignas(nlattr) std::array<std::byte, 16> bytes{};
    const nlattr attribute{8, 1};
    std::memcpy(bytes.data(), &attribute, sizeof attribute);
    std::memcpy(bytes.data() + 8, &attribute, sizeof attribute);
    const auto visited = [&](std::size_t size) {
        int count = 0;
        const bool complete = for_each_attribute(std::span(bytes).first(size), [&](const Attribute&) { ++count; });
        return std::pair(count, complete);
    };
    EXPECT_EQ(visited(0), std::pair(0, true));
    EXPECT_EQ(visited(8), std::pair(1, true));
    EXPECT_EQ(visited(15), std::pair(1, false));
    EXPECT_EQ(visited(16), std::pair(2, true));
}

TEST(NetlinkDump, ATruncatedReplyIsAnError) {
    FakeKernel kernel({[](std::uint32_t) { return std::vector<FakeKernel::Datagram>{FakeKernel::Datagram(100'000)}; }});
    Dump dump;
    EXPECT_FALSE(dump.run(kernel.socket()));
}

}  // namespace
}  // namespace flowd::nl
