// SPDX-License-Identifier: Apache-2.0
// The flow table from both sides: what user space writes while a program reads.
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "backends/marker/kernel_flows.hpp"
#include "flowd/label.hpp"
#include "flowd/unique_fd.hpp"
#include "lib/bpf/flow_key.hpp"
#include "tests/unit/bpf/kernel.hpp"

/// The program's look-up, compiled for this machine: native_flow_table.c.
extern "C" int native_flow_table_find(const marker_bucket* memory, const flow_key* key, __u32 epoch, marker_mark* mark);

namespace flowd::test {
namespace {

constexpr flowd_tag one{2, 16};
constexpr flowd_tag other{3, 9};

class KernelFlows : public KernelTest {
  protected:
    static Bytes frame(std::uint16_t port) { return ethernet(0x86dd) + Ip6{}.over(tcp(port, 1094)); }
    std::uint32_t semantic_of(std::uint16_t port) { return label_at(run(frame(port)).frame, 14) & label::semantic_mask; }
};

TEST_F(KernelFlows, MatchesAMapAfterRandomChanges) {
    load(with_room(400));
    std::mt19937 random(7);
    std::map<std::uint16_t, flowd_tag> expected;
    for (int step = 0; step < 20000; ++step) {
        const auto port = static_cast<std::uint16_t>(1 + random() % 500);
        if (random() % 3 == 0) {
            table_->remove(key(port, 1094));
            expected.erase(port);
        } else {
            const flowd_tag tag{1 + static_cast<std::uint32_t>(random() % 511), static_cast<std::uint32_t>(random() % 64)};
            const bool fits = expected.size() < 400 || expected.contains(port);
            ASSERT_EQ(table_->put(key(port, 1094), tag), fits) << "as many as configured, not one less";
            if (fits) expected[port] = tag;
        }
        ASSERT_EQ(table_->size(), expected.size());
    }
    for (std::uint16_t port = 1; port <= 500; ++port) {
        const Ran ran = run(frame(port));
        const auto found = expected.find(port);
        ASSERT_EQ(ran.outcome, found == expected.end() ? MARKER_NO_TAG : MARKER_MARKED_FLOW) << port;
        if (found == expected.end()) continue;
        ASSERT_EQ(label_at(ran.frame, 14) & label::semantic_mask, *label::encode(found->second)) << port;
    }
}

TEST_F(KernelFlows, HoldsTheConfiguredNumberOfFlows) {
    constexpr std::uint32_t flows = 131072;
    load(with_room(flows));
    const auto nth = [](std::uint32_t i) {
        flowd_key each = key(static_cast<std::uint16_t>(1 + i % 60000), 1094);
        each.source[8] = static_cast<std::uint8_t>(i / 60000);
        return each;
    };
    for (std::uint32_t i = 0; i < flows; ++i) ASSERT_TRUE(table_->put(nth(i), one)) << i;
    EXPECT_FALSE(table_->put(nth(flows), one));
    EXPECT_EQ(table_->size(), flows);
    EXPECT_EQ(semantic_of(60000), *label::encode(one));
    for (std::uint32_t i = 0; i < flows; ++i) table_->remove(nth(i));
    EXPECT_EQ(table_->size(), 0u);
    EXPECT_EQ(run(frame(1)).outcome, MARKER_NO_TAG);
}

// The slots of one bucket are written all the time around a flow that stays; every packet of it has one of its own marks.
TEST_F(KernelFlows, APacketFindsItsFlowWhileOthersAreAddedAndRemoved) {
    load(with_room(4));  // one bucket: all flows share their way
    ASSERT_TRUE(table_->put(key(1000, 1094), one));
    std::atomic<bool> done = false;
    std::thread writer([&] {
        for (int i = 0; !done; ++i) {
            for (std::uint16_t port = 1; port <= 3; ++port) (void)table_->put(key(port, 1094), {511, 63});
            (void)table_->put(key(1000, 1094), i % 2 == 0 ? one : other);
            for (std::uint16_t port = 1; port <= 3; ++port) table_->remove(key(port, 1094));
        }
    });
    const std::set<std::uint32_t> allowed{*label::encode(one), *label::encode(other)};
    int missed = 0;
    int wrong = 0;
    for (int i = 0; i < 20000; ++i) {
        const Ran ran = run(frame(1000));
        missed += ran.outcome == MARKER_MARKED_FLOW ? 0 : 1;
        wrong += allowed.contains(label_at(ran.frame, 14) & label::semantic_mask) ? 0 : 1;
    }
    done = true;
    writer.join();
    EXPECT_EQ(missed, 0);
    EXPECT_EQ(wrong, 0);
}

/// On arm64 without atomic instructions, an atomic operation is a loop of an exclusive load and an exclusive store. A step
/// of a debugger ends the exclusive access, so that the loop never ends.
bool can_be_stepped() {
#ifdef __aarch64__
    return (::getauxval(AT_HWCAP) & HWCAP_ATOMICS) != 0;
#else
    return true;
#endif
}

// A packet of a flow that stays is looked up after each instruction of a process that writes around it.
TEST(KernelFlowsMemory, APacketFindsItsFlowAfterEachInstructionOfAWriter) {
    if (!can_be_stepped()) GTEST_SKIP() << "needs atomic instructions (LSE): others cannot be stepped through";
    const UniqueFd memory(::memfd_create("flow-table", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(memory.get(), sizeof(marker_bucket)), 0);
    marker::KernelFlows table(memory.get(), 1);
    const auto flow = [](std::uint16_t port, std::uint32_t label) {
        return marker::KernelFlows::Flow{bpf::to_flow_key(KernelTest::key(port, 1094)), {MARKER_IS_SET | label, 0}};
    };
    std::vector<marker::KernelFlows::Flow> flows;  // with one home: the last one is behind the others
    for (std::uint16_t port = 1; flows.size() < 4; ++port) {
        const auto each = flow(port, 0x10);
        if (flows.empty() || marker_home_slot(flow_hash(&each.key)) == marker_home_slot(flow_hash(&flows[0].key)))
            flows.push_back(each);
    }
    for (const auto& each : flows) ASSERT_EQ(*table.put(each), marker::KernelFlows::Put::created);
    auto stays = flows.back();
    flows.pop_back();

    const pid_t writer = ::fork();
    ASSERT_GE(writer, 0);
    if (writer == 0) {
        (void)::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        (void)::raise(SIGSTOP);
        for (const auto& each : flows) (void)table.erase(each.key);
        stays.mark.label = MARKER_IS_SET | 0x20;
        (void)table.put(stays);
        for (const auto& each : flows) (void)table.put(each);
        ::_exit(0);
    }
    void* const mapped = ::mmap(nullptr, sizeof(marker_bucket), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
    ASSERT_NE(mapped, MAP_FAILED);
    std::set<std::uint32_t> labels;
    std::size_t steps = 0, missed = 0;
    int status = 0;
    for (; ::waitpid(writer, &status, 0) == writer && WIFSTOPPED(status); ++steps) {
        marker_mark mark{};
        if (native_flow_table_find(static_cast<marker_bucket*>(mapped), &stays.key, 0, &mark) == 0)
            ++missed;
        else
            labels.insert(mark.label);
        if (::ptrace(PTRACE_SINGLESTEP, writer, nullptr, nullptr) != 0) break;
    }
    ::munmap(mapped, sizeof(marker_bucket));
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_GT(steps, 100u);
    EXPECT_EQ(missed, 0u) << "of " << steps;
    EXPECT_EQ(labels, (std::set<std::uint32_t>{MARKER_IS_SET | 0x10, MARKER_IS_SET | 0x20}))
        << "the old one, then the new one";
}

// Two flows take turns in one slot. No processor promises in which order a program sees the stores, and a test run on one
// machine meets only the orders of that machine: so every word of the slot is given every value that it ever has, in all
// combinations.
TEST(KernelFlowsMemory, ReorderedStoresNeverGiveAFlowTheMarkOfAnother) {
    constexpr std::size_t words = sizeof(marker_flow) / sizeof(std::uint64_t);
    using Slot = std::array<std::uint64_t, words>;
    const UniqueFd memory(::memfd_create("flow-table", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(memory.get(), sizeof(marker_bucket)), 0);
    marker::KernelFlows table(memory.get(), 1);

    const auto flow = [](std::uint16_t port, std::uint32_t label, std::uint32_t rest) {
        return marker::KernelFlows::Flow{bpf::to_flow_key(KernelTest::key(port, 1094)), {MARKER_IS_SET | label, rest}};
    };
    const auto home = [&](std::uint16_t port) {
        const flow_key key = flow(port, 0, 0).key;
        return marker_home_slot(flow_hash(&key));
    };
    std::uint16_t second = 2;
    while (home(second) != home(1)) ++second;
    const std::array<std::vector<marker::KernelFlows::Flow>, 2> flows{
        {{flow(1, 0x11, 0x1111), flow(1, 0x12, 0x1212)}, {flow(second, 0x21, 0x2121), flow(second, 0x22, 0)}}};
    std::array<std::set<std::uint64_t>, words> values;
    const auto look = [&] {
        marker_bucket bucket{};
        ASSERT_EQ(::pread(memory.get(), &bucket, sizeof bucket, 0), static_cast<ssize_t>(sizeof bucket));
        Slot slot;
        std::memcpy(slot.data(), &bucket.slots[home(1)], sizeof slot);
        for (std::size_t i = 0; i < words; ++i) values[i].insert(slot[i]);
    };
    look();
    for (const auto& marks : flows) {
        for (const auto& each : marks) {
            ASSERT_NE(*table.put(each), marker::KernelFlows::Put::no_room);
            look();
        }
        ASSERT_TRUE(*table.erase(marks[0].key));
        look();
    }

    std::array<std::set<std::uint64_t>::const_iterator, words> at;
    for (std::size_t i = 0; i < words; ++i) at[i] = values[i].begin();
    std::size_t found = 0;
    for (std::size_t carry = 0; carry < words;) {
        marker_bucket bucket{};
        Slot slot;
        for (std::size_t i = 0; i < words; ++i) slot[i] = *at[i];
        std::memcpy(&bucket.slots[home(1)], slot.data(), sizeof slot);
        for (const auto& marks : flows) {
            marker_mark mark{};
            if (native_flow_table_find(&bucket, &marks[0].key, 0, &mark) == 0) continue;
            ++found;
            ASSERT_TRUE(mark.label == marks[0].mark.label || mark.label == marks[1].mark.label) << std::hex << mark.label;
            ASSERT_TRUE(mark.rest == 0 || mark.rest == marks[0].mark.rest || mark.rest == marks[1].mark.rest)
                << std::hex << mark.rest;
        }
        for (carry = 0; carry < words && ++at[carry] == values[carry].end(); ++carry) at[carry] = values[carry].begin();
    }
    EXPECT_GT(found, 0u);
}

TEST_F(KernelFlows, AnAdoptedFlowKeepsItsMarkWhileItSends) {
    load(with_room(16));
    ASSERT_TRUE(table_->put(key(1, 1094), one));
    ASSERT_TRUE(table_->put(key(2, 1094), one));
    table_->leave(key(1, 1094));
    table_->leave(key(2, 1094));
    table_->leave(key(3, 1094));
    EXPECT_EQ(table_->adopted(), 2u) << "only what is there can be left";
    EXPECT_EQ(run(frame(1)).outcome, MARKER_MARKED_FLOW);
    table_->expire_adopted();
    EXPECT_EQ(run(frame(1)).outcome, MARKER_MARKED_FLOW);
    EXPECT_NE(run(frame(2)).outcome, MARKER_MARKED_FLOW) << "it had been silent";
    ASSERT_TRUE(table_->put(key(1, 1094), one));
    EXPECT_EQ(table_->adopted(), 0u) << "somebody announces it again";
}

TEST_F(KernelFlows, AFlowWithTheTagOfTheCatchAllUsesNoRoom) {
    set_catch_all(one);
    ASSERT_TRUE(table_->put(key(1, 1094), one));
    EXPECT_EQ(table_->size(), 0u);
    EXPECT_TRUE(table_->is_relied_on());
    EXPECT_EQ(semantic_of(1), *label::encode(one));
    ASSERT_TRUE(table_->put(key(1, 1094), other));
    EXPECT_EQ(table_->size(), 1u);
    EXPECT_EQ(semantic_of(1), *label::encode(other));
    ASSERT_TRUE(table_->put(key(1, 1094), one));
    EXPECT_EQ(table_->size(), 0u) << "re-tagged to what the catch-all says";
    EXPECT_EQ(semantic_of(1), *label::encode(one));
}

}  // namespace
}  // namespace flowd::test
