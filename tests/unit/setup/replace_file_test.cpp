// SPDX-License-Identifier: Apache-2.0
#include "core/base/replace_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "core/base/files.hpp"
#include "tests/modules/temporary_directory.hpp"

namespace flowd::core {
namespace fs = std::filesystem;
namespace {

class ReplaceFile : public testing::Test {
  protected:
    mode_t mode() const {
        struct stat info {};
        EXPECT_EQ(::stat(file_.c_str(), &info), 0);
        return info.st_mode & 07777;
    }
    std::size_t files() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory_.path()), fs::directory_iterator()));
    }
    test::TemporaryDirectory directory_;
    fs::path file_ = directory_.path() / "file";
};

TEST_F(ReplaceFile, ANewFileHasTheGivenModeAndALaterOneKeepsTheModeOfItsPredecessor) {
    ASSERT_TRUE(replace_file(file_, "one", {0604, {}}));
    EXPECT_EQ(mode(), 0604u);
    ASSERT_TRUE(replace_file(file_, "two", {0640, {}}));
    EXPECT_EQ(mode(), 0604u);
    EXPECT_EQ(*read_file(file_), "two");
    EXPECT_EQ(files(), 1u);
}

TEST_F(ReplaceFile, AFailureNamesTheFileAndLeavesNothingBehind) {
    fs::create_directories(file_ / "within");
    const auto done = replace_file(file_, "one", {});
    ASSERT_FALSE(done);
    EXPECT_TRUE(done.error().message.starts_with("writing " + file_.string() + ": ")) << done.error().message;
    EXPECT_EQ(files(), 1u);
}

TEST_F(ReplaceFile, WhatWasReplacedIsNoFailureThoughTheDirectoryCannotBeRead) {
    constexpr uid_t nobody = 65534;
    const uid_t self = ::geteuid();
    const uid_t other = self == 0 ? nobody : self;
    ASSERT_EQ(::chown(directory_.path().c_str(), other, static_cast<gid_t>(-1)), 0);
    ASSERT_EQ(::chmod(directory_.path().c_str(), 0300), 0);
    ASSERT_EQ(::seteuid(other), 0);
    const auto replaced = replace_file(file_, "one", {});
    const auto renamed = rename_file(file_, file_.string() + ".moved");
    ASSERT_EQ(::seteuid(self), 0);
    EXPECT_TRUE(replaced) << replaced.error().message;
    EXPECT_TRUE(renamed) << renamed.error().message;
    EXPECT_EQ(*read_file(file_.string() + ".moved"), "one");
    ASSERT_EQ(::chmod(directory_.path().c_str(), 0700), 0);
}

TEST_F(ReplaceFile, AReaderSeesOneOfTheTextsAsAWholeWhileSeveralReplaceIt) {
    const auto text_of = [](char c) { return std::string(100'000, c); };
    ASSERT_TRUE(replace_file(file_, text_of('a'), {}));
    std::vector<std::thread> writers;
    for (const char c : {'a', 'b', 'c'})
        writers.emplace_back([&, c] {
            for (int i = 0; i < 30; ++i) EXPECT_TRUE(replace_file(file_, text_of(c), {}));
        });
    for (int i = 0; i < 200; ++i) {
        const auto text = read_file(file_);
        EXPECT_TRUE(text && *text == text_of(text->front()));
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_EQ(files(), 1u);
}

TEST_F(ReplaceFile, ASuccessorThatExistsIsNotOverwritten) {
    const fs::path successor = directory_.path() / "successor";
    ASSERT_TRUE(write_successor(successor, file_, "one", {}));
    EXPECT_FALSE(write_successor(successor, file_, "two", {}));
    ASSERT_TRUE(rename_file(successor, file_));
    EXPECT_EQ(*read_file(file_), "one");
}

}  // namespace
}  // namespace flowd::core
