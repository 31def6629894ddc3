// SPDX-License-Identifier: Apache-2.0
#include "lib/http/entrance.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flowd/testing/fake_host.hpp"
#include "lib/http/listening.hpp"

namespace flowd::http {
namespace {

class EntranceTest : public ::testing::Test {
  protected:
    EntranceTest() { std::filesystem::create_directories(folder_); }
    ~EntranceTest() override { std::filesystem::remove_all(folder_); }
    [[nodiscard]] bool file_is_there() const { return std::filesystem::exists(path_); }

    const std::filesystem::path folder_ =
        std::filesystem::temp_directory_path() / ("flowd-entrance-" + std::to_string(::getpid()));
    const std::filesystem::path path_ = folder_ / "socket";
    const std::string resource_ = "unix:" + path_.string();
    testing::FakeHost fake_;
    std::unique_ptr<Host> host_ = std::move(Host::make(fake_.raw())).value();
    EntranceOptions options_;
};

TEST_F(EntranceTest, TheFileOfAUnixSocketExistsWhileItListens) {
    Entrance entrance(*host_, options_);
    auto socket = entrance.open_unix(path_, 0660, "socketPath");
    ASSERT_TRUE(socket) << socket.error().message;
    EXPECT_TRUE(file_is_there());
    EXPECT_TRUE(fake_.keeps(resource_));
    entrance.leave();
    EXPECT_FALSE(file_is_there());
}

TEST_F(EntranceTest, ReportsRefusalsOfTheServerToTheCore) {
    Entrance entrance(*host_, options_);
    const Refused refused = entrance.refusals();
    refused(401, Peer{{*Address::parse("2001:db8::1"), 4711}, {}}, "GET /flows");
    refused(503, Peer{{}, 1000}, {});
    ASSERT_EQ(fake_.refusals().size(), 2u);
    EXPECT_EQ(fake_.refusals()[0].reason, "unauthorized");
    EXPECT_EQ(fake_.refusals()[0].sender, "[2001:db8::1]:4711");
    EXPECT_EQ(fake_.refusals()[0].first, "GET /flows");
    EXPECT_EQ(fake_.refusals()[1].reason, "service_unavailable");
    EXPECT_EQ(fake_.refusals()[1].sender, "uid 1000");
}

TEST_F(EntranceTest, TooManyConnectionsAreReportedOnce) {
    options_.max_connections = 7;
    Entrance entrance(*host_, options_);
    Counts counts;
    entrance.warn_of_crowd(counts);
    EXPECT_EQ(fake_.lines().size(), 0u);
    for (int second = 0; second < 5; ++second) {
        ++counts.over_cap;
        ++counts.starved;
        entrance.warn_of_crowd(counts);
    }
    EXPECT_EQ(fake_.lines().size(), 1u);
}

// case C57
TEST_F(EntranceTest, ConnectionsThatCannotBeAcceptedAreReportedOnce) {
    Entrance entrance(*host_, options_);
    Counts counts;
    for (int second = 0; second < 5; ++second) {
        ++counts.not_accepted;
        entrance.warn_of_crowd(counts);
    }
    ASSERT_EQ(fake_.lines().size(), 1u);
    EXPECT_TRUE(fake_.logged("limit of open files"));
}

TEST_F(EntranceTest, APassedUnixSocketIsUsed) {
    auto before = listen_unix(path_, 0660);
    ASSERT_TRUE(before);
    struct stat file {
    }, same{};
    ASSERT_EQ(::stat(path_.c_str(), &file), 0);
    fake_.offer_descriptor(resource_, std::move(*before));
    Entrance entrance(*host_, options_);
    ASSERT_TRUE(entrance.open_unix(path_, 0660, "socketPath"));
    ASSERT_EQ(::stat(path_.c_str(), &same), 0);
    EXPECT_EQ(file.st_ino, same.st_ino);
}

TEST_F(EntranceTest, AUnixSocketWithoutItsFileIsRecreated) {
    auto before = listen_unix(path_, 0660);
    ASSERT_TRUE(before);
    fake_.offer_descriptor(resource_, std::move(*before));
    std::filesystem::remove(path_);
    Entrance entrance(*host_, options_);
    ASSERT_TRUE(entrance.open_unix(path_, 0660, "socketPath"));
    EXPECT_TRUE(file_is_there()) << "otherwise nobody finds it";
}

}  // namespace
}  // namespace flowd::http
