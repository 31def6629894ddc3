// SPDX-License-Identifier: Apache-2.0
#include "lib/http/listening.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/http/client.hpp"

namespace flowd::http {
namespace {

namespace fs = std::filesystem;

class ListeningTest : public ::testing::Test {
  protected:
    ListeningTest() {
        std::string name = (fs::temp_directory_path() / "flowd-http-XXXXXX").string();
        folder_ = ::mkdtemp(name.data());
    }
    ~ListeningTest() override { fs::remove_all(folder_); }
    [[nodiscard]] fs::path path() const { return folder_ / "socket"; }
    fs::path folder_;
};

TEST_F(ListeningTest, NamesABusyPort) {
    const auto first = listen_tcp({*Address::parse("127.0.0.1"), 0});
    ASSERT_TRUE(first);
    const auto second = listen_tcp(local_endpoint(first->get()));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, FLOWD_BUSY);
    EXPECT_NE(second.error().message.find(local_endpoint(first->get()).to_string()), std::string::npos);
    EXPECT_NE(second.error().hint.find("another instance of this daemon"), std::string::npos) << second.error().hint;
}

TEST_F(ListeningTest, TakesIpv4AtTheUnspecifiedIpv6Address) {
    const auto socket = listen_tcp({*Address::parse("::"), 0});
    ASSERT_TRUE(socket);
    EXPECT_NO_THROW(test::Client({*Address::parse("127.0.0.1"), local_endpoint(socket->get()).port}));
}

TEST_F(ListeningTest, GivesTheUnixSocketItsMode) {
    const auto socket = listen_unix(path(), 0620);
    ASSERT_TRUE(socket);
    EXPECT_EQ(fs::status(path()).permissions(), static_cast<fs::perms>(0620));
}

TEST_F(ListeningTest, ReplacesAStaleSocketButNotOneInUse) {
    auto first = listen_unix(path(), 0600);
    ASSERT_TRUE(first);
    const auto second = listen_unix(path(), 0600);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, FLOWD_BUSY);
    first->reset();
    EXPECT_TRUE(listen_unix(path(), 0600));
}

TEST_F(ListeningTest, ReplacesNoOtherFile) {
    std::ofstream(path()) << "precious";
    const auto socket = listen_unix(path(), 0600);
    ASSERT_FALSE(socket);
    EXPECT_EQ(socket.error().code, FLOWD_BUSY);
    EXPECT_TRUE(fs::is_regular_file(path()));
}

TEST_F(ListeningTest, RefusesAPathThatIsTooLong) {
    EXPECT_EQ(listen_unix(folder_ / std::string(108, 'x'), 0600).error().code, FLOWD_INVALID);
}

TEST_F(ListeningTest, TakesOverOnlyListeningSockets) {
    auto socket = listen_tcp({*Address::parse("::1"), 0});
    ASSERT_TRUE(socket);
    EXPECT_TRUE(listen_again(std::move(*socket)));
    EXPECT_EQ(listen_again(UniqueFd(::socket(AF_INET6, SOCK_DGRAM, 0))).error().code, FLOWD_INVALID);
    EXPECT_EQ(listen_again(UniqueFd(::socket(AF_INET6, SOCK_STREAM, 0))).error().code, FLOWD_INVALID);
}

}  // namespace
}  // namespace flowd::http
