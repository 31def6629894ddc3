// SPDX-License-Identifier: Apache-2.0
#include "core/service/trust.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/modules/temporary_directory.hpp"

namespace flowd::core {
namespace {

namespace fs = std::filesystem;
using test::TemporaryDirectory;

class Trust : public testing::Test {
  protected:
    TemporaryDirectory directory_;
    fs::path file_ = directory_.write("module.so", "x");
};

TEST_F(Trust, IsGivenToAFileThatOnlyItsOwnerCanChange) {
    const auto trusted = trusted_path(file_);
    ASSERT_TRUE(trusted) << trusted.error().message;
    EXPECT_EQ(*trusted, fs::canonical(file_));
}

TEST_F(Trust, IsRefusedToAFileThatOthersCanWrite) {
    ::chmod(file_.c_str(), 0646);
    const auto checked = check_trusted(file_);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, FLOWD_DENIED);
    EXPECT_EQ(checked.error().message, file_.string() + " is not trusted: it is writable by others (owner uid " +
                                           std::to_string(::geteuid()) + ", group gid " + std::to_string(::getegid()) +
                                           ", mode 0646)");
    EXPECT_EQ(checked.error().hint, "chmod go-w " + file_.string());
}

TEST_F(Trust, IsRefusedBelowADirectoryThatItsGroupCanWrite) {
    ::chmod(directory_.path().c_str(), 0770);
    const auto checked = check_trusted(file_);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().hint, "chmod go-w " + directory_.path().string());
    EXPECT_NE(checked.error().message.find("is writable by its group (owner"), std::string::npos)
        << checked.error().message;
}

TEST_F(Trust, IsRefusedToAStickyDirectoryItselfButNotBelowIt) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can make a sticky directory of root's";
    ::chmod(directory_.path().c_str(), 01777);
    EXPECT_FALSE(check_trusted(directory_.path()));
    EXPECT_TRUE(check_trusted(file_));
}

TEST_F(Trust, IsRefusedToAFileOfAnotherUser) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
    ASSERT_EQ(::chown(file_.c_str(), 4711, 4711), 0);
    const auto checked = check_trusted(file_);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().message, file_.string() + " is not trusted: it belongs to uid 4711 (mode 0644), not to root");
    EXPECT_EQ(checked.error().hint, "chown root " + file_.string());
    EXPECT_TRUE(check_trusted(file_, TrustPolicy{4711}));
}

TEST_F(Trust, FollowsASymbolicLinkAndJudgesWhatIsBehindIt) {
    const fs::path link = directory_.path() / "link.so";
    fs::create_symlink(file_, link);
    EXPECT_EQ(*trusted_path(link), fs::canonical(file_));
    ::chmod(file_.c_str(), 0666);
    EXPECT_FALSE(check_trusted(link));
}

TEST_F(Trust, OfAFileThatDoesNotExistSaysSo) {
    const auto checked = check_trusted(directory_.path() / "absent.so");
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, FLOWD_NOT_FOUND);
}

}  // namespace
}  // namespace flowd::core
