// SPDX-License-Identifier: Apache-2.0
#include "core/service/notify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "flowd/unique_fd.hpp"

namespace flowd::core {
namespace {

/// The service manager's end of NOTIFY_SOCKET.
struct NotifierTest : ::testing::Test {
    void SetUp() override {
        address.sun_family = AF_UNIX;
        const std::string path = std::filesystem::temp_directory_path() / ("flowd-notify-" + std::to_string(::getpid()));
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        ::unlink(address.sun_path);
        ASSERT_EQ(::bind(manager.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        ::setenv("NOTIFY_SOCKET", address.sun_path, 1);
        notifier.emplace();
    }
    void TearDown() override {
        ::unsetenv("NOTIFY_SOCKET");
        ::unsetenv("WATCHDOG_USEC");
        ::unsetenv("WATCHDOG_PID");
        ::unlink(address.sun_path);
    }
    std::string received() {
        char text[4096];
        iovec piece{text, sizeof text};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const ssize_t length = ::recvmsg(manager.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (length < 0) return {};
        for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
            if (c->cmsg_type != SCM_RIGHTS) continue;
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
            passed.reset(fd);
        }
        return std::string(text, static_cast<std::size_t>(length));
    }

    sockaddr_un address{};
    UniqueFd manager{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    UniqueFd passed;
    std::optional<Notifier> notifier;  // made when NOTIFY_SOCKET is set
};

TEST_F(NotifierTest, SendsStateAndStatusToTheServiceManager) {
    notifier->ready("4 instances");
    EXPECT_EQ(received(), "READY=1\nSTATUS=4 instances");
    notifier->reloading();
    EXPECT_THAT(received(), ::testing::ContainsRegex("^RELOADING=1\nMONOTONIC_USEC=[0-9]+\n"));
    notifier->stopping();
    EXPECT_THAT(received(), ::testing::StartsWith("STOPPING=1"));
    notifier->alive();
    EXPECT_EQ(received(), "WATCHDOG=1");
}

TEST_F(NotifierTest, AStatusOfSeveralLinesCannotInjectAssignments) {
    notifier->status("failed\nREADY=1");
    EXPECT_EQ(received(), "STATUS=failed READY=1");
}

TEST_F(NotifierTest, PassesDescriptorsUnderValidNames) {
    notifier->store("udp:[::1]:10514", manager.get());
    EXPECT_EQ(received(), "FDSTORE=1\nFDNAME=udp%3A[%3A%3A1]%3A10514");
    struct stat mine {
    }, theirs{};
    ASSERT_TRUE(passed);
    ASSERT_EQ(::fstat(manager.get(), &mine) | ::fstat(passed.get(), &theirs), 0);
    EXPECT_EQ(mine.st_ino, theirs.st_ino);
    notifier->forget("udp:[::1]:10514");
    EXPECT_EQ(received(), "FDSTOREREMOVE=1\nFDNAME=udp%3A[%3A%3A1]%3A10514");
}

TEST_F(NotifierTest, NotifiesTheWatchdogAtHalfItsTimeout) {
    EXPECT_FALSE(Notifier::watchdog_interval());
    ::setenv("WATCHDOG_USEC", "3000000", 1);
    ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
    EXPECT_EQ(Notifier::watchdog_interval(), std::chrono::microseconds(1'500'000));
    ::setenv("WATCHDOG_PID", "1", 1);
    EXPECT_FALSE(Notifier::watchdog_interval()) << "it watches another process";
}

/// Everything in the socket, as the manager reads it at last.
struct UnreadNotifierTest : NotifierTest {
    void SetUp() override {
        NotifierTest::SetUp();
        ::alarm(20);  // a send that waits would wait for ever
    }
    void TearDown() override {
        ::alarm(0);
        NotifierTest::TearDown();
    }
    std::vector<std::string> all() {
        std::vector<std::string> messages;
        for (std::size_t waiting = 1; waiting > 0;) {
            for (std::string text = received(); !text.empty(); text = received()) messages.push_back(text);
            waiting = notifier->flush();
        }
        for (std::string text = received(); !text.empty(); text = received()) messages.push_back(text);
        return messages;
    }
};

TEST_F(UnreadNotifierTest, AServiceManagerThatDoesNotReadBlocksNothingAndGetsTheLastState) {
    for (int i = 0; i < 5000; ++i) {
        notifier->reloading();
        notifier->ready(std::to_string(i));
        notifier->alive();
    }
    EXPECT_GT(notifier->flush(), 0U);
    const auto messages = all();
    ASSERT_GE(messages.size(), 3U);
    EXPECT_LT(messages.size(), 5000U) << "what is out of date is not told";
    EXPECT_THAT(messages[messages.size() - 3], ::testing::StartsWith("RELOADING=1"));
    EXPECT_EQ(messages[messages.size() - 2], "READY=1\nSTATUS=4999");
    EXPECT_EQ(messages.back(), "WATCHDOG=1");
}

TEST_F(UnreadNotifierTest, ADescriptorWaitsToBePassed) {
    const UniqueFd mine(::memfd_create("mine", MFD_CLOEXEC));
    for (int i = 0; i < 2000; ++i) notifier->status("x");
    notifier->forget("a");
    notifier->store("a", mine.get());
    const auto messages = all();
    EXPECT_EQ(messages[messages.size() - 2], "FDSTOREREMOVE=1\nFDNAME=a");
    EXPECT_EQ(messages.back(), "FDSTORE=1\nFDNAME=a");
    struct stat one {
    }, other{};
    ASSERT_TRUE(passed);
    ASSERT_EQ(::fstat(mine.get(), &one) | ::fstat(passed.get(), &other), 0);
    EXPECT_EQ(one.st_ino, other.st_ino);
}

TEST_F(NotifierTest, WithoutAManagerNothingHappens) {
    ::unsetenv("NOTIFY_SOCKET");
    notifier.emplace();
    notifier->ready("x");
    EXPECT_EQ(received(), "");
}

}  // namespace
}  // namespace flowd::core
