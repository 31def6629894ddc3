// SPDX-License-Identifier: Apache-2.0
#include "core/base/trust.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

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

TEST_F(Trust, AFileWritableOnlyByItsOwnerIsTrusted) {
    const auto trusted = trusted_path(file_);
    ASSERT_TRUE(trusted) << trusted.error().message;
    EXPECT_EQ(*trusted, fs::canonical(file_));
}

TEST_F(Trust, AFileWritableByOthersIsRefused) {
    ::chmod(file_.c_str(), 0646);
    const auto checked = check_trusted(file_);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, FLOWD_DENIED);
    EXPECT_EQ(checked.error().message, file_.string() + " is not trusted: it is writable by others (owner uid " +
                                           std::to_string(::geteuid()) + ", group gid " + std::to_string(::getegid()) +
                                           ", mode 0646)");
    EXPECT_EQ(checked.error().hint, "chmod go-w " + file_.string());
}

TEST_F(Trust, AFileBelowAGroupWritableDirectoryIsRefused) {
    ::chmod(directory_.path().c_str(), 0770);
    const auto checked = check_trusted(file_);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().hint, "chmod go-w " + directory_.path().string());
    EXPECT_NE(checked.error().message.find("is writable by its group (owner"), std::string::npos)
        << checked.error().message;
}

TEST_F(Trust, AStickyDirectoryIsRefusedButNotFilesBelowIt) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can make a sticky directory of root's";
    ::chmod(directory_.path().c_str(), 01777);
    EXPECT_FALSE(check_trusted(directory_.path()));
    EXPECT_TRUE(check_trusted(file_));
}

TEST_F(Trust, AFileOfAnotherUserIsRefused) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
    ASSERT_EQ(::chown(file_.c_str(), 4711, 4711), 0);
    const auto checked = check_trusted(file_);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().message, file_.string() + " is not trusted: it belongs to uid 4711 (mode 0644), not to root");
    EXPECT_EQ(checked.error().hint, "chown root " + file_.string());
    EXPECT_TRUE(check_trusted(file_, TrustPolicy{4711}));
}

TEST_F(Trust, TheTargetOfASymbolicLinkIsChecked) {
    const fs::path link = directory_.path() / "link.so";
    fs::create_symlink(file_, link);
    EXPECT_EQ(*trusted_path(link), fs::canonical(file_));
    ::chmod(file_.c_str(), 0666);
    EXPECT_FALSE(check_trusted(link));
}

/// What is behind a link is trusted, but somebody else may put another link in its place.
class TrustOfPath : public Trust {
  protected:
    fs::path folder(const char* name, mode_t mode) {
        fs::create_directory(directory_.path() / name);
        ::chmod((directory_.path() / name).c_str(), mode);
        return directory_.path() / name;
    }
};

TEST_F(TrustOfPath, ALinkInAnUntrustedDirectoryIsRefused) {
    const fs::path open = folder("open", 0777);
    fs::create_symlink(file_, open / "link.so");
    const auto checked = check_trusted(open / "link.so");
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, FLOWD_DENIED);
    EXPECT_EQ(checked.error().hint, "chmod go-w " + open.string());
}

TEST_F(TrustOfPath, ADirectoryLinkInAnUntrustedDirectoryIsRefused) {
    const fs::path open = folder("open", 0777), own = folder("own", 0755);
    fs::create_directory(own / "real");
    fs::rename(file_, own / "real/module.so");
    fs::create_directory_symlink(own / "real", open / "via");
    fs::create_directory_symlink("../open/via", own / "entry");  // relative, and through another link
    ASSERT_TRUE(fs::exists(own / "entry/module.so"));
    EXPECT_TRUE(check_trusted(own / "real/module.so"));
    const auto checked = check_trusted(own / "entry/module.so");
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().hint, "chmod go-w " + open.string());
}

TEST_F(TrustOfPath, APathThroughAnUntrustedDirectoryAndBackIsRefused) {
    const fs::path open = folder("open", 0777);
    EXPECT_FALSE(check_trusted(open / "../module.so"));
}

TEST_F(TrustOfPath, ALinkOfAnotherUserIsRefused) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
    const fs::path sticky = folder("sticky", 01777);
    const fs::path link = sticky / "link.so";
    fs::create_symlink(file_, link);
    EXPECT_TRUE(check_trusted(link));
    ASSERT_EQ(::lchown(link.c_str(), 4711, 4711), 0);
    const auto checked = check_trusted(link);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().hint, "chown -h root " + link.string());
}

TEST_F(TrustOfPath, ChainsOfLinksAreFollowedAndLoopsAreRefused) {
    const fs::path own = folder("own", 0755);
    fs::create_symlink("../module.so", own / "a");
    fs::create_symlink("a", own / "b");
    fs::create_symlink(own / "b", own / "c");
    EXPECT_EQ(*trusted_path(own / "c"), fs::canonical(file_));
    fs::create_symlink("y", own / "x");
    fs::create_symlink("x", own / "y");
    for (const bool enforced : {true, false}) {
        const auto checked = check_trusted(own / "x", TrustPolicy{::geteuid(), enforced});
        ASSERT_FALSE(checked);
        EXPECT_EQ(checked.error().code, FLOWD_INVALID);
        EXPECT_EQ(checked.error().hint, "see: namei -l " + (own / "x").string());
    }
}

TEST_F(TrustOfPath, AFileUsedAsADirectoryIsRefused) {
    const auto checked = check_trusted(file_ / "below");
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, FLOWD_INVALID);
}

TEST_F(Trust, AMissingFileIsNotFound) {
    const auto checked = check_trusted(directory_.path() / "absent.so");
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, FLOWD_NOT_FOUND);
}

}  // namespace
}  // namespace flowd::core
