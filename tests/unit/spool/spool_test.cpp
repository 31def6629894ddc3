// SPDX-License-Identifier: Apache-2.0
#include "lib/spool/spool.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace flowd::spool {
namespace {

using ::testing::HasSubstr;

class SpoolTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "spool-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        directory_ = name;
        path_ = directory_ / "spool";
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }
    std::unique_ptr<Spool> open(std::uint64_t max_bytes = 1 << 20) {
        auto spool = Spool::open(path_, max_bytes);
        EXPECT_TRUE(spool) << (spool ? "" : spool.error().message);
        return spool ? std::move(*spool) : nullptr;
    }
    static Spool::Appended append(Spool& spool, const std::string& value) { return spool.append("key", value); }
    static std::vector<std::string> values(Spool& spool, std::int64_t after = 0) {
        std::vector<std::string> all;
        auto items = spool.read(after, 1000, 1 << 20);
        EXPECT_TRUE(items);
        if (items)
            for (const Item& item : *items) all.push_back(item.value);
        return all;
    }
    void change(const char* sql) const {
        sqlite3* handle = nullptr;
        ASSERT_EQ(sqlite3_open(path_.c_str(), &handle), SQLITE_OK);
        EXPECT_EQ(sqlite3_exec(handle, sql, nullptr, nullptr, nullptr), SQLITE_OK);
        sqlite3_close(handle);
    }

    /// Bytes that this thread has read from files so far.
    static std::uint64_t bytes_read() {
        std::ifstream file("/proc/thread-self/io");
        std::string name;
        std::uint64_t bytes = 0;
        file >> name >> bytes;
        return bytes;
    }
    /// As on a full disk: files cannot become larger.
    static Result<void> commit_with_limit(Spool& spool, std::uintmax_t bytes) {
        rlimit old{};
        (void)::getrlimit(RLIMIT_FSIZE, &old);
        rlimit limit = old;
        limit.rlim_cur = bytes;
        void (*const handler)(int) = ::signal(SIGXFSZ, SIG_IGN);
        (void)::setrlimit(RLIMIT_FSIZE, &limit);
        auto done = spool.commit();
        (void)::setrlimit(RLIMIT_FSIZE, &old);
        (void)::signal(SIGXFSZ, handler);
        return done;
    }
    /// As in a process that may not open any more files.
    static Result<void> commit_without_descriptors(Spool& spool) {
        rlimit old{};
        (void)::getrlimit(RLIMIT_NOFILE, &old);
        rlimit limit = old;
        limit.rlim_cur = 0;
        (void)::setrlimit(RLIMIT_NOFILE, &limit);
        auto done = spool.commit();
        (void)::setrlimit(RLIMIT_NOFILE, &old);
        return done;
    }
    void fill(int records) {
        auto spool = open(1 << 30);
        for (int i = 0; i < records; ++i) (void)append(*spool, std::string(1000, 'x'));
        ASSERT_TRUE(spool->commit());
    }

    std::filesystem::path directory_, path_;
};

TEST_F(SpoolTest, OpeningDoesNotReadTheRecords) {
    fill(20'000);
    const std::uint64_t before = bytes_read();
    auto spool = open(1 << 30);
    EXPECT_LT(bytes_read() - before, 200'000u);
    EXPECT_EQ(spool->records(), 20'000u);
    EXPECT_EQ(spool->bytes(), 20'000u * (3 + 1000 + 64));
}

TEST_F(SpoolTest, TheSizeIsKeptWhenRecordsAreRemoved) {
    fill(100);
    auto spool = open();
    spool->note_handed(60);
    spool->remove_through(60);
    ASSERT_TRUE(spool->commit());
    spool = nullptr;
    spool = open();
    EXPECT_EQ(spool->records(), 40u);
    EXPECT_EQ(spool->bytes(), 40u * (3 + 1000 + 64));
}

TEST_F(SpoolTest, DamageThatIsMetWhileReadingIsSaidAndAReplacementGoesOn) {
    fill(1000);
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(path_) / 32768 * 16384));
    file << std::string(4096, 'x');
    file.close();
    auto spool = open(1 << 24);
    EXPECT_EQ(spool->moved_aside(), "") << "the damage has not been met yet";
    std::int64_t after = 0;
    auto items = spool->read(after, 100, 1 << 20);
    for (; items && !items->empty(); items = spool->read(after, 100, 1 << 20)) after = items->back().id;
    ASSERT_FALSE(items);
    EXPECT_EQ(items.error().code, FLOWD_INVALID);
    EXPECT_GT(after, 0);
    EXPECT_EQ(spool->records_behind(after), 1000u - static_cast<std::uint64_t>(after));
    EXPECT_EQ(append(*spool, "not committed before"), Spool::Appended::yes);
    ASSERT_TRUE(spool->replace("is damaged"));
    EXPECT_THAT(spool->moved_aside(), HasSubstr("is damaged; it was renamed"));
    ASSERT_TRUE(spool->commit());
    EXPECT_EQ(spool->records(), 1u);
    EXPECT_EQ(values(*spool, after), std::vector<std::string>{"not committed before"});
    EXPECT_EQ(spool->last(), 1001);
}

TEST_F(SpoolTest, WhatIsNotARegularFileIsRefused) {
    std::ofstream(directory_ / "other") << "other";
    std::filesystem::create_symlink(directory_ / "other", path_);
    auto refused = Spool::open(path_, 1 << 20);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("is not a regular file"));
    EXPECT_TRUE(std::filesystem::exists(directory_ / "other"));

    std::filesystem::remove(path_);
    std::filesystem::create_directory(path_);
    EXPECT_FALSE(Spool::open(path_, 1 << 20));
    EXPECT_TRUE(std::filesystem::is_directory(path_));

    std::filesystem::remove(path_);
    ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    EXPECT_FALSE(Spool::open(path_, 1 << 20));
}

TEST_F(SpoolTest, OnlyTheOwnerCanReadTheFile) {
    (void)open();
    for (const char* suffix : {"", ".lock"})
        EXPECT_EQ(std::filesystem::status(path_.string() + suffix).permissions(), std::filesystem::perms{0600}) << suffix;
}

TEST_F(SpoolTest, OnADiskThatIsNearlyFullAPartIsWrittenAndRecordsCanBeRemoved) {
    auto spool = open(1 << 24);
    for (int i = 0; i < 100; ++i) (void)append(*spool, std::string(1000, 'x'));
    ASSERT_TRUE(spool->commit());
    for (int i = 0; i < 2000; ++i) (void)append(*spool, std::string(1000, 'x'));
    spool->remove_through(50);
    const auto done = commit_with_limit(*spool, 1 << 20);
    EXPECT_FALSE(done);
    EXPECT_FALSE(spool->has_marks()) << "50 records are removed";
    EXPECT_TRUE(spool->has_pending());
    EXPECT_GT(spool->records(), 50u);
    EXPECT_LT(spool->records(), 2050u);
    ASSERT_TRUE(spool->commit());
    EXPECT_EQ(spool->records(), 2050u);
}

TEST_F(SpoolTest, OnAFullDiskTheFileIsRemovedWhenAllOfItIsRemoved) {
    auto spool = open(1 << 24);
    for (int i = 0; i < 100; ++i) (void)append(*spool, std::string(1000, 'x'));
    ASSERT_TRUE(spool->commit());
    const auto size = std::filesystem::file_size(path_.string() + "-wal");
    (void)append(*spool, "after");
    EXPECT_FALSE(commit_with_limit(*spool, size));
    spool->remove_through(100);
    ASSERT_TRUE(commit_with_limit(*spool, size));
    EXPECT_EQ(spool->records(), 1u);
    spool = nullptr;
    spool = open();
    EXPECT_EQ(values(*spool), std::vector<std::string>{"after"});
    EXPECT_EQ(spool->last(), 101);
}

TEST_F(SpoolTest, AFileWhoseRecordsAreRemovedGivesItsRoomBack) {
    const auto spool = open(1 << 26);
    for (int i = 0; i < 2500; ++i) ASSERT_EQ(append(*spool, std::string(10'000, 'x')), Spool::Appended::yes);
    spool->note_handed(spool->last());
    ASSERT_TRUE(spool->commit());
    spool->remove_through(spool->last() - 1);
    ASSERT_TRUE(spool->commit());
    EXPECT_GT(std::filesystem::file_size(path_), 16u << 20) << "one record is needed";
    spool->remove_through(spool->last());
    ASSERT_TRUE(spool->commit());
    EXPECT_LT(std::filesystem::file_size(path_), 1u << 20);
    EXPECT_EQ(spool->records(), 0u);
    EXPECT_EQ(append(*spool, "next"), Spool::Appended::yes);
    ASSERT_TRUE(spool->commit());
    EXPECT_EQ(spool->last(), 2501) << "numbers continue";
    EXPECT_EQ(values(*spool, 2500), std::vector<std::string>{"next"});
    EXPECT_EQ(Spool::look(path_).value()->handed(), 2500);
}

TEST_F(SpoolTest, ACommitSucceedsWhetherOrNotTheFileGivesItsRoomBack) {
    auto spool = open(1 << 26);
    for (int i = 0; i < 2500; ++i) ASSERT_EQ(append(*spool, std::string(10'000, 'x')), Spool::Appended::yes);
    ASSERT_TRUE(spool->commit());
    spool->note_handed(spool->last());
    spool->remove_through(spool->last());
    EXPECT_TRUE(commit_without_descriptors(*spool));
    EXPECT_FALSE(spool->has_uncommitted());
    EXPECT_EQ(append(*spool, "next"), Spool::Appended::yes);
    EXPECT_TRUE(spool->commit());
    EXPECT_EQ(spool->moved_aside(), "");
    spool = nullptr;
    spool = open();
    EXPECT_EQ(values(*spool), std::vector<std::string>{"next"});
    EXPECT_EQ(spool->last(), 2501);
}

TEST_F(SpoolTest, AFileThatCannotBeWrittenForNowKeepsItsNameAndItsRecords) {
    auto spool = open();
    EXPECT_EQ(append(*spool, "one"), Spool::Appended::yes);
    ASSERT_TRUE(spool->commit());
    spool = nullptr;

    sqlite3* other = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
    auto refused = Spool::open(path_, 1 << 20);
    sqlite3_close(other);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("database is locked"));

    spool = open();
    EXPECT_EQ(spool->moved_aside(), "");
    EXPECT_EQ(values(*spool), std::vector<std::string>{"one"});
}

TEST_F(SpoolTest, WhatIsCommittedIsReadInOrderAlsoByTheNextProcess) {
    auto spool = open();
    for (const char* value : {"one", "two", "three"}) EXPECT_EQ(append(*spool, value), Spool::Appended::yes);
    ASSERT_TRUE(spool->commit());
    EXPECT_EQ(append(*spool, "not committed"), Spool::Appended::yes);
    spool = nullptr;
    spool = open();
    EXPECT_EQ(values(*spool), (std::vector<std::string>{"one", "two", "three"}));
    EXPECT_EQ(spool->records(), 3u);
    EXPECT_EQ(append(*spool, "four"), Spool::Appended::yes);
    ASSERT_TRUE(spool->commit());
    EXPECT_EQ(values(*spool, 3), (std::vector<std::string>{"four"}));
}

TEST_F(SpoolTest, NumbersAreNotUsedAgainWhenItWasEmptied) {
    auto spool = open();
    for (int i = 0; i < 5; ++i) (void)append(*spool, "v");
    spool->note_handed(spool->last());
    spool->remove_through(spool->last());
    ASSERT_TRUE(spool->commit());
    EXPECT_EQ(spool->records(), 0u);
    EXPECT_EQ(spool->bytes(), 0u);
    spool = nullptr;
    spool = open();
    EXPECT_EQ(spool->handed(), 5);
    (void)append(*spool, "v");
    EXPECT_EQ(spool->last(), 6);
}

TEST_F(SpoolTest, OnlyWhatIsDurableIsCounted) {
    auto spool = open();
    EXPECT_EQ(append(*spool, "one"), Spool::Appended::yes);
    EXPECT_EQ(spool->records(), 0u);
    EXPECT_EQ(spool->bytes(), 0u);
    EXPECT_EQ(spool->written(), 0u);
    ASSERT_TRUE(spool->commit());
    EXPECT_EQ(spool->records(), 1u);
    EXPECT_EQ(spool->written(), 1u);
    EXPECT_GT(spool->bytes(), 6u);
    spool->remove_through(1);
    EXPECT_EQ(spool->records(), 1u);
    ASSERT_TRUE(spool->commit());
    EXPECT_EQ(spool->records(), 0u);
}

TEST_F(SpoolTest, AfterACommitThatFailedTheNextOneWritesEverything) {
    auto spool = open();
    EXPECT_EQ(append(*spool, "one"), Spool::Appended::yes);
    sqlite3* other = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
    EXPECT_FALSE(spool->commit());
    EXPECT_EQ(append(*spool, "two"), Spool::Appended::yes);
    EXPECT_FALSE(spool->commit());
    EXPECT_EQ(spool->records(), 0u);
    sqlite3_close(other);
    ASSERT_TRUE(spool->commit());
    EXPECT_EQ(values(*spool), (std::vector<std::string>{"one", "two"}));
    EXPECT_EQ(spool->records(), 2u);
}

TEST_F(SpoolTest, MemoryIsBoundedWithoutACommitOfTheCaller) {
    auto spool = open(1 << 30);
    const std::string value(1 << 20, 'x');
    for (int i = 0; i < 40; ++i) EXPECT_EQ(append(*spool, value), Spool::Appended::yes);
    EXPECT_GE(spool->records(), 32u);
}

TEST_F(SpoolTest, AfterKill9NothingThatWasCountedAsSpooledIsMissing) {
    int pipes[2];
    ASSERT_EQ(::pipe(pipes), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        auto spool = Spool::open(path_, 1 << 30);
        for (std::uint32_t number = 0; spool; ++number) {
            (void)(*spool)->append("key", std::to_string(number));
            if (number % 7 == 6 && (*spool)->commit()) (void)!::write(pipes[1], &number, sizeof number);
        }
        ::_exit(1);
    }
    ::close(pipes[1]);
    std::uint32_t counted = 0;
    for (int i = 0; i < 50; ++i)
        ASSERT_EQ(::read(pipes[0], &counted, sizeof counted), static_cast<ssize_t>(sizeof counted));
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    while (::read(pipes[0], &counted, sizeof counted) == static_cast<ssize_t>(sizeof counted)) {
    }
    ::close(pipes[0]);
    auto spool = open(1 << 30);
    EXPECT_TRUE(spool->moved_aside().empty());
    ASSERT_GE(spool->records(), counted + 1u);
    auto items = spool->read(0, 1'000'000, 1 << 30);
    ASSERT_TRUE(items);
    for (std::size_t i = 0; i < items->size(); ++i) ASSERT_EQ((*items)[i].value, std::to_string(i));
}

TEST_F(SpoolTest, BeyondItsLimitItRefusesAndTakesAgainWhenThereIsRoom) {
    auto spool = open(1000);
    const std::string value(400, 'x');
    EXPECT_EQ(append(*spool, value), Spool::Appended::yes);
    EXPECT_EQ(append(*spool, value), Spool::Appended::yes);
    EXPECT_EQ(append(*spool, value), Spool::Appended::full);
    ASSERT_TRUE(spool->commit());
    spool->remove_through(1);
    ASSERT_TRUE(spool->commit());
    EXPECT_EQ(append(*spool, value), Spool::Appended::yes);
}

TEST_F(SpoolTest, ASecondOwnerIsRefusedAlsoInTheSameProcess) {
    auto spool = open();
    EXPECT_EQ(owner_of(path_), ::getpid());
    const auto second = Spool::open(path_, 1 << 20);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, FLOWD_BUSY);
    spool = nullptr;
    EXPECT_EQ(owner_of(path_), 0);
    EXPECT_TRUE(Spool::open(path_, 1 << 20));
}

TEST_F(SpoolTest, ADamagedFileIsMovedAsideAndANewOneIsBegun) {
    std::ofstream(path_) << std::string(8192, 'x');
    auto spool = open();
    EXPECT_THAT(spool->moved_aside(), HasSubstr("is damaged"));
    EXPECT_THAT(spool->moved_aside(), HasSubstr(".aside-"));
    EXPECT_EQ(append(*spool, "one"), Spool::Appended::yes);
    ASSERT_TRUE(spool->commit());
    std::size_t aside = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory_))
        aside += entry.path().filename().string().starts_with("spool.aside-") ? 1 : 0;
    EXPECT_EQ(aside, 1u);
}

TEST_F(SpoolTest, AFileOfAnotherVersionOrProgramIsMovedAside) {
    open().reset();
    change("PRAGMA user_version=3");
    EXPECT_THAT(open()->moved_aside(), HasSubstr("has version 3, not 2"));
    change("PRAGMA application_id=1");
    EXPECT_THAT(open()->moved_aside(), HasSubstr("another program"));
}

TEST_F(SpoolTest, LookingDoesNotDisturbTheOwner) {
    auto spool = open();
    (void)append(*spool, "one");
    ASSERT_TRUE(spool->commit());
    auto seen = Spool::look(path_);
    ASSERT_TRUE(seen) << seen.error().message;
    EXPECT_EQ((*seen)->records(), 1u);
    EXPECT_FALSE(Spool::look(directory_ / "absent"));
}

}  // namespace
}  // namespace flowd::spool
