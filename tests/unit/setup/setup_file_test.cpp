// SPDX-License-Identifier: Apache-2.0
// What setup replaces is kept, and can be put back byte by byte.
#include "core/setup/setup_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "tests/modules/temporary_directory.hpp"

namespace flowd::core {
namespace fs = std::filesystem;
namespace {

using test::TemporaryDirectory;

class SetupFileTest : public testing::Test {
  protected:
    static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
    static std::string read(const fs::path& path) {
        std::ifstream stream(path);
        return {std::istreambuf_iterator<char>(stream), {}};
    }
    void set_up(const std::string& text) {
        const auto prepared = file_.prepare(SetupFile::stamped("host", text, true));
        ASSERT_TRUE(prepared) << prepared.error().message;
        const auto done = file_.commit();
        ASSERT_TRUE(done) << done.error().message;
    }
    std::size_t files() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory_.path()), fs::directory_iterator()));
    }
    TemporaryDirectory directory_;
    SetupFile file_{directory_.path() / "conf.yaml"};
};

TEST_F(SetupFileTest, TheVeryFileThatWasThereIsPutBack) {
    write(file_.path(), "by hand\n");
    ASSERT_EQ(::chmod(file_.path().c_str(), 0604), 0);
    struct stat before {};
    ASSERT_EQ(::stat(file_.path().c_str(), &before), 0);
    set_up("one\n");
    struct stat written {};
    ASSERT_EQ(::stat(file_.path().c_str(), &written), 0);
    EXPECT_EQ(written.st_mode, before.st_mode);
    EXPECT_EQ(read(file_.before()), "by hand\n");
    ASSERT_TRUE(file_.restore());
    struct stat after {};
    ASSERT_EQ(::stat(file_.path().c_str(), &after), 0);
    EXPECT_EQ(after.st_ino, before.st_ino);
    EXPECT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    EXPECT_EQ(files(), 1u);
}

TEST_F(SetupFileTest, WithoutAFileBeforeThereIsNoneAfterwards) {
    set_up("one\n");
    EXPECT_FALSE(fs::exists(file_.before()));
    ASSERT_TRUE(file_.restore());
    EXPECT_EQ(files(), 0u);
}

TEST_F(SetupFileTest, ASecondSetupKeepsTheCopyOfTheFirst) {
    write(file_.path(), "by hand\n");
    set_up("one\n");
    set_up("two\n");
    EXPECT_EQ(read(file_.before()), "by hand\n");
    EXPECT_EQ(files(), 2u);
}

TEST_F(SetupFileTest, WhatSomebodyChangedSinceIsKeptAtASecondSetupAndAtARestore) {
    write(file_.path(), "by hand\n");
    set_up("one\n");
    const std::string changed = read(file_.path()) + "changed\n";
    write(file_.path(), changed);
    set_up("two\n");
    EXPECT_EQ(read(file_.before()), changed);
    EXPECT_EQ(read(file_.before().string() + ".1"), "by hand\n");

    write(file_.path(), read(file_.path()) + "again\n");
    const auto kept = file_.restore();
    ASSERT_TRUE(kept);
    EXPECT_NE(read(*kept).find("two\nagain\n"), std::string::npos);
    EXPECT_EQ(read(file_.path()), changed);
}

TEST_F(SetupFileTest, AProcessThatWasKilledBetweenCopyAndRenameLeavesNoSecondCopy) {
    write(file_.path(), "by hand\n");
    fs::create_hard_link(file_.path(), file_.before());
    write(file_.candidate(), "half");
    set_up("one\n");
    EXPECT_EQ(read(file_.before()), "by hand\n");
    EXPECT_EQ(files(), 2u);
}

TEST_F(SetupFileTest, WhatSetupDidNotWriteIsNotRestored) {
    write(file_.path(), "by hand\n");
    EXPECT_FALSE(file_.restore());
    EXPECT_EQ(read(file_.path()), "by hand\n");
}

TEST_F(SetupFileTest, ALinkIsReplacedAndPutBack) {
    write(directory_.path() / "elsewhere", "managed\n");
    fs::create_symlink("elsewhere", file_.path());
    set_up("one\n");
    EXPECT_EQ(read(directory_.path() / "elsewhere"), "managed\n");
    ASSERT_TRUE(file_.restore());
    EXPECT_EQ(fs::read_symlink(file_.path()), "elsewhere");
}

TEST(Stamp, TellsWhetherTheTextIsAsSetupWroteIt) {
    const std::string text = SetupFile::stamped("host", "a: 1\n", false);
    ASSERT_TRUE(SetupFile::stamp_of(text));
    EXPECT_TRUE(SetupFile::stamp_of(text)->intact);
    EXPECT_FALSE(SetupFile::stamp_of(text)->started);
    EXPECT_TRUE(SetupFile::stamp_of(SetupFile::stamped("host", "a: 1\n", true))->started);
    EXPECT_FALSE(SetupFile::stamp_of(text + "b: 2\n")->intact);
    EXPECT_FALSE(SetupFile::stamp_of("a: 1\n"));
    EXPECT_FALSE(SetupFile::stamp_of("# setup: digest ")->intact);
}

TEST_F(SetupFileTest, ASymbolicLinkToNowhereIsPutBack) {
    fs::create_symlink("elsewhere", file_.path());
    set_up("one\n");
    EXPECT_EQ(fs::read_symlink(file_.before()), "elsewhere");
    ASSERT_TRUE(file_.restore());
    EXPECT_EQ(fs::read_symlink(file_.path()), "elsewhere");
    EXPECT_EQ(files(), 1u);
}

TEST_F(SetupFileTest, ADirectoryInItsPlaceIsRefused) {
    fs::create_directory(file_.path());
    const auto present = file_.read();
    ASSERT_FALSE(present);
    EXPECT_NE(present.error().message.find("not a regular file"), std::string::npos) << present.error().message;
}

TEST_F(SetupFileTest, OnlyOneSetupAtATimeMayChangeADirectory) {
    ASSERT_TRUE(file_.lock());
    ASSERT_TRUE(file_.lock());
    SetupFile other(directory_.path() / "other.yaml");
    const auto refused = other.prepare("two\n");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, FLOWD_BUSY);
    EXPECT_EQ(files(), 0u);
    file_ = SetupFile(file_.path());
    EXPECT_TRUE(other.prepare("two\n"));
}

TEST_F(SetupFileTest, WhatAKilledSetupLeftBesideTheFileIsRemoved) {
    write(file_.path(), "by hand\n");
    ASSERT_TRUE(file_.prepare("one\n"));
    fs::create_hard_link(file_.path(), file_.before());  // as commit() before its last step
    EXPECT_EQ(files(), 3u);
    file_.clean();
    EXPECT_EQ(files(), 1u);
    EXPECT_EQ(read(file_.path()), "by hand\n");
}

}  // namespace
}  // namespace flowd::core
