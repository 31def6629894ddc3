// SPDX-License-Identifier: Apache-2.0
#include "core/service/pid_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace flowd::core {
namespace {

struct PidFileTest : ::testing::Test {
    std::filesystem::path directory = std::filesystem::temp_directory_path() / ("flowd-pid-" + std::to_string(::getpid()));
    std::filesystem::path path = directory / "below" / "flowd.pid";
    void TearDown() override { std::filesystem::remove_all(directory); }
};

TEST_F(PidFileTest, HoldsTheProcessIdWhileItLives) {
    {
        const auto file = PidFile::write(path);
        ASSERT_TRUE(file) << file.error().message;
        int pid = 0;
        std::ifstream(path) >> pid;
        EXPECT_EQ(pid, ::getpid());
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(PidFileTest, ASecondDaemonIsRefusedWithTheProcessId) {
    const auto file = PidFile::write(path);
    ASSERT_TRUE(file);
    const auto second = PidFile::write(path);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, FLOWD_BUSY);
    EXPECT_THAT(second.error().message, ::testing::HasSubstr(std::to_string(::getpid())));
    EXPECT_TRUE(std::filesystem::exists(path)) << "the loser removes nothing";
}

TEST_F(PidFileTest, AFullDiskLeavesNoPidFile) {
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit none{0, before.rlim_max};
    const auto handled = ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &none);
    const auto file = PidFile::write(path);
    ::setrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, handled);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, FLOWD_LIMIT) << file.error().message;
    EXPECT_THAT(file.error().message, ::testing::StartsWith(path.string()));
    EXPECT_FALSE(std::filesystem::exists(path)) << "an empty one would mislead";
}

TEST_F(PidFileTest, AStalePidFileIsTakenOver) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << "99999999999\n";
    const auto file = PidFile::write(path);
    ASSERT_TRUE(file);
    int pid = 0;
    std::ifstream(path) >> pid;
    EXPECT_EQ(pid, ::getpid());
}

}  // namespace
}  // namespace flowd::core
