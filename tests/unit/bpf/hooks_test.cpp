// SPDX-License-Identifier: Apache-2.0
// Which priority a tc filter of ours gets, who owns it, and places on TCX.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "lib/bpf/clsact.hpp"
#include "lib/bpf/object.hpp"
#include "lib/bpf/ownership.hpp"
#include "lib/bpf/tcx.hpp"
#include "lib/kernel/features.hpp"

namespace flowd::test {
namespace {

using bpf::Ownership;

std::vector<bpf::Filter> of_priorities(const std::vector<std::uint16_t>& priorities, std::uint32_t chain = 0) {
    std::vector<bpf::Filter> filters;
    for (const std::uint16_t priority : priorities) {
        bpf::Filter filter;
        filter.priority = priority;
        filter.chain = chain;
        filter.kind = "bpf";
        filters.push_back(filter);
    }
    return filters;
}

TEST(FreePriority, PrecedesAllOthersAndLeavesPriority1FreeIfPossible) {
    EXPECT_EQ(bpf::free_priority({}), 2);
    EXPECT_EQ(bpf::free_priority(of_priorities({49152})), 2);
    EXPECT_EQ(bpf::free_priority(of_priorities({3, 4, 100})), 2);
    EXPECT_EQ(bpf::free_priority(of_priorities({2, 3})), 1);
}

TEST(FreePriority, IsTheFirstFreeOneAfterPriority1) {
    EXPECT_EQ(bpf::free_priority(of_priorities({1})), 2);
    EXPECT_EQ(bpf::free_priority(of_priorities({1, 1, 2, 3, 5})), 4);
}

TEST(FreePriority, OtherChainsHavePrioritiesOfTheirOwn) {
    EXPECT_EQ(bpf::free_priority(of_priorities({1, 2}, 7)), 2);
}

// Marker and meter look for the leftovers of a killed daemon at the same time.
TEST(Clsact, OneThatSomebodyElseHasRemovedMeanwhileIsNoError) {
    const pid_t child = ::fork();
    if (child == 0) {
        constexpr int loopback = 1;
        if (::unshare(CLONE_NEWNET) != 0 || std::system("tc qdisc add dev lo clsact") != 0) ::_exit(1);
        const auto first = bpf::remove_clsact(loopback, {}), second = bpf::remove_clsact(loopback, {});
        ::_exit(!first || !*first ? 2 : !second ? 3 : *second ? 4 : 0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "exit code " << WEXITSTATUS(status);
}

/// The only program on a TCX hook of the loopback interface; 0: none, or several.
std::uint32_t only_program(bpf::Direction direction) {
    const auto programs = bpf::tcx_programs(1, direction);
    return programs && programs->size() == 1 ? programs->front() : 0;
}

int take_a_place() {
    using bpf::Direction;
    constexpr int loopback = 1, absent = 77;
    const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, -1}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    const UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "flowd_test", "GPL", code, 2, nullptr));
    if (::unshare(CLONE_NEWNET) != 0 || !program) return 1;
    std::optional<bpf::TcxLink> link;
    {
        bpf::TcxPlaces places({loopback, absent}, {Direction::egress, Direction::ingress});
        link = places.take(loopback, Direction::egress);
        if (!link || places.take(loopback, Direction::egress) || places.take(absent, Direction::egress)) return 2;
        if (only_program(Direction::ingress) == 0) return 3;
    }
    if (only_program(Direction::ingress) != 0) return 4;  // an unused place is given up
    const std::uint32_t idle = only_program(Direction::egress);
    if (idle == 0 || idle == bpf::program_id(program.get())) return 5;
    if (!link->replace(program.get())) return 6;
    return only_program(Direction::egress) == bpf::program_id(program.get()) ? 0 : 7;
}

TEST(TcxPlaces, AreTakenBeforeTheProgramIsThereAndFreedIfNobodyTakesThem) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: loads BPF programs";
    if (const auto feature = kernel::Features().lacking("TCX")) GTEST_SKIP() << "needs TCX: " << feature->found;
    const pid_t child = ::fork();
    if (child == 0) ::_exit(take_a_place());
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "exit code " << WEXITSTATUS(status);
}

class OwnershipTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = std::filesystem::temp_directory_path() / "flowd-ownership-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        file_ = folder_ + "/run/hooks";
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string folder_;
    std::string file_;
};

TEST_F(OwnershipTest, LastsAsLongAsItsObject) {
    EXPECT_FALSE(Ownership::is_alive(0x2f000001, file_)) << "nobody has ever owned anything";
    auto first = Ownership::claim(file_);
    ASSERT_TRUE(first) << first.error().message;
    std::optional<Ownership> second;
    {
        auto claimed = Ownership::claim(file_);
        ASSERT_TRUE(claimed) << claimed.error().message;
        second.emplace(*std::move(claimed));
    }
    const std::uint32_t handle = second->handle(false);
    EXPECT_NE(handle, first->handle(false));
    EXPECT_TRUE(Ownership::is_alive(handle, file_));
    EXPECT_TRUE(Ownership::is_alive(second->handle(true), file_)) << "the same owner";
    second.reset();
    EXPECT_FALSE(Ownership::is_alive(handle, file_));
    EXPECT_TRUE(Ownership::is_alive(first->handle(false), file_));
}

TEST_F(OwnershipTest, EndsWithTheProcess) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const auto claimed = Ownership::claim(file_);
        const std::uint32_t handle = claimed ? claimed->handle(false) : 0;
        (void)!::write(pipe[1], &handle, sizeof handle);
        ::pause();
        ::_exit(0);
    }
    std::uint32_t handle = 0;
    ASSERT_EQ(::read(pipe[0], &handle, sizeof handle), static_cast<ssize_t>(sizeof handle));
    EXPECT_TRUE(Ownership::is_alive(handle, file_));
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    EXPECT_FALSE(Ownership::is_alive(handle, file_));
    ::close(pipe[0]);
    ::close(pipe[1]);
}

TEST_F(OwnershipTest, TheLockOfTheQdiscsIsNotAwaitedForEver) {
    constexpr std::chrono::milliseconds patience{50};
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const auto locked = Ownership::lock_qdiscs(patience, file_);
        (void)!::write(pipe[1], locked ? "y" : "n", 1);
        ::pause();
        ::_exit(0);
    }
    char locked = 0;
    ASSERT_EQ(::read(pipe[0], &locked, 1), 1);
    EXPECT_EQ(locked, 'y');
    ::kill(child, SIGSTOP);
    const auto refused = Ownership::lock_qdiscs(patience, file_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, FLOWD_BUSY);
    EXPECT_NE(refused.error().message.find(file_), std::string::npos) << refused.error().message;
    const std::string& hint = refused.error().hint;
    const auto begin = hint.find('`') + 1;
    const std::string find = hint.substr(begin, hint.find('`', begin) - begin) + " 2> /dev/null";
    FILE* const found = ::popen(find.c_str(), "re");
    char line[256] = "";
    EXPECT_NE(::fgets(line, sizeof line, found), nullptr) << find;
    ::pclose(found);
    EXPECT_EQ(std::string(line).find("/proc/" + std::to_string(child) + "/"), 0u) << line;

    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    EXPECT_TRUE(Ownership::lock_qdiscs(patience, file_)) << "a dead process holds no lock";
    ::close(pipe[0]);
    ::close(pipe[1]);
}

TEST_F(OwnershipTest, TheHandleIdentifiesAQdiscOfThisProgram) {
    const auto ownership = Ownership::claim(file_);
    ASSERT_TRUE(ownership);
    EXPECT_TRUE(Ownership::made_qdisc(ownership->handle(true)));
    EXPECT_FALSE(Ownership::made_qdisc(ownership->handle(false)));
    EXPECT_FALSE(Ownership::made_qdisc(1));
}

TEST_F(OwnershipTest, AFileThatOthersCanOpenOrReplaceIsRefused) {
    ASSERT_TRUE(Ownership::claim(file_));
    struct stat about {};
    ASSERT_EQ(::stat(file_.c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, 0600u);
    ::chmod(file_.c_str(), 0644);
    EXPECT_FALSE(Ownership::claim(file_)) << "whoever can read it can lock it";
    ::chmod(file_.c_str(), 0600);
    ::chmod((folder_ + "/run").c_str(), 0777);
    EXPECT_FALSE(Ownership::claim(file_));
    ::chmod((folder_ + "/run").c_str(), 0755);
    std::filesystem::remove(file_);
    std::ofstream(folder_ + "/target").close();
    std::filesystem::create_symlink(folder_ + "/target", file_);
    EXPECT_FALSE(Ownership::claim(file_));
}

}  // namespace
}  // namespace flowd::test
