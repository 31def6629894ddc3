// SPDX-License-Identifier: Apache-2.0
// Dumps from a kernel of the test's own, at the other end of a pair of sockets.
#include "lib/net/netlink_dump.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "flowd/unique_fd.hpp"

namespace flowd::net {
namespace {

constexpr std::uint16_t object_type = 20;

/// Answers the nth request with what `answers` makes of the request's sequence number.
class FakeKernel {
  public:
    using Datagram = std::vector<std::byte>;
    using Answer = std::function<std::vector<Datagram>(std::uint32_t sequence)>;

    explicit FakeKernel(std::vector<Answer> answers) {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error("socketpair");
        ours_.reset(ends[0]);
        theirs_.reset(ends[1]);
        thread_ = std::thread([this, answers = std::move(answers)] {
            for (const Answer& answer : answers) {
                nlmsghdr request{};
                if (::recv(theirs_.get(), &request, sizeof request, MSG_TRUNC) < static_cast<ssize_t>(sizeof request))
                    return;
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
    [[nodiscard]] int fd() const { return ours_.get(); }
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
    UniqueFd ours_, theirs_;
    std::thread thread_;
    int asked_ = 0;
};

struct Dump {
    Result<void> run(int fd) {
        nlmsghdr request{};
        request.nlmsg_len = sizeof request;
        request.nlmsg_type = 18;
        request.nlmsg_seq = sequence;
        auto done = netlink_dump(
            fd, request,
            [this](const nlmsghdr&, const std::byte* body, std::size_t size) {
                std::int32_t value = 0;
                ASSERT_EQ(size, sizeof value);
                std::memcpy(&value, body, sizeof value);
                seen.push_back(value);
            },
            [this] {
                ++restarts;
                seen.clear();
            });
        sequence = request.nlmsg_seq;
        return done;
    }
    std::vector<std::int32_t> seen;
    int restarts = 0;
    std::uint32_t sequence = 0;
};

TEST(NetlinkDump, TellsWholeLists) {
    FakeKernel kernel({FakeKernel::list({1, 2, 3}), FakeKernel::list({})});
    Dump dump;
    ASSERT_TRUE(dump.run(kernel.fd()));
    EXPECT_EQ(dump.seen, (std::vector<std::int32_t>{1, 2, 3}));
    ASSERT_TRUE(dump.run(kernel.fd()));
    EXPECT_EQ(dump.restarts, 0);
}

TEST(NetlinkDump, AListThatChangedMeanwhileIsAskedForAgain) {
    FakeKernel kernel({FakeKernel::list({1, 2}, 0, NLM_F_DUMP_INTR), FakeKernel::list({1, 9}, 0, NLM_F_DUMP_INTR),
                       FakeKernel::list({4, 5})});
    Dump dump;
    ASSERT_TRUE(dump.run(kernel.fd()));
    EXPECT_EQ(dump.seen, (std::vector<std::int32_t>{4, 5})) << "nothing is left of the lists that were in flux";
    EXPECT_EQ(dump.restarts, 2);
}

TEST(NetlinkDump, AListThatNeverComesToRestIsAnErrorAfterAFewAttempts) {
    FakeKernel kernel(std::vector<FakeKernel::Answer>(100, FakeKernel::list({1}, 0, NLM_F_DUMP_INTR)));
    Dump dump;
    const auto done = dump.run(kernel.fd());
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find("changed"), std::string::npos) << done.error().message;
    const int asked = kernel.asked();
    EXPECT_GT(asked, 1);
    EXPECT_LT(asked, 20);
}

TEST(NetlinkDump, AnErrorInTheLastMessageIsNoEmptyList) {
    FakeKernel kernel({FakeKernel::list({}, -ENOENT), FakeKernel::list({1})});
    Dump dump;
    const auto done = dump.run(kernel.fd());
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, FLOWD_NOT_FOUND);
    EXPECT_TRUE(dump.run(kernel.fd())) << "the next dump starts afresh";
}

TEST(NetlinkDump, ARefusalIsItsErrno) {
    FakeKernel kernel({[](std::uint32_t sequence) {
        nlmsgerr error{};
        error.error = -EPERM;
        nlmsghdr header{};
        header.nlmsg_len = NLMSG_LENGTH(sizeof error);
        header.nlmsg_type = NLMSG_ERROR;
        header.nlmsg_seq = sequence;
        FakeKernel::Datagram datagram(NLMSG_SPACE(sizeof error));
        std::memcpy(datagram.data(), &header, sizeof header);
        std::memcpy(datagram.data() + NLMSG_HDRLEN, &error, sizeof error);
        return std::vector<FakeKernel::Datagram>{datagram};
    }});
    Dump dump;
    const auto done = dump.run(kernel.fd());
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, FLOWD_DENIED);
}

TEST(NetlinkDump, WhatIsLeftOfAnEarlierDumpIsNotTaken) {
    FakeKernel kernel({[](std::uint32_t sequence) {
        auto datagrams = FakeKernel::list({7, 8})(sequence - 1);
        for (auto& datagram : FakeKernel::list({1})(sequence)) datagrams.push_back(std::move(datagram));
        return datagrams;
    }});
    Dump dump;
    ASSERT_TRUE(dump.run(kernel.fd()));
    EXPECT_EQ(dump.seen, (std::vector<std::int32_t>{1}));
}

TEST(NetlinkDump, AnAnswerThatIsCutOffIsAnError) {
    FakeKernel kernel({[](std::uint32_t) { return std::vector<FakeKernel::Datagram>{FakeKernel::Datagram(100'000)}; }});
    Dump dump;
    EXPECT_FALSE(dump.run(kernel.fd()));
}

}  // namespace
}  // namespace flowd::net
