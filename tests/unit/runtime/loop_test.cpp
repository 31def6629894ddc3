// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

namespace flowd::core {
namespace {

using namespace std::chrono_literals;

struct LoopTest : ::testing::Test {
    std::unique_ptr<Loop> loop = std::move(*Loop::create());
    UniqueFd event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};

    void raise() const { ASSERT_EQ(::eventfd_write(event.get(), 1), 0); }
    [[nodiscard]] bool readable(int timeout_ms = 20'000) const {
        pollfd poll{loop->fd(), POLLIN, 0};
        return ::poll(&poll, 1, timeout_ms) == 1;
    }
    void run_until(const bool& done) {
        for (int i = 0; i < 10'000 && !done; ++i) loop->wait(20s);
    }
};

TEST_F(LoopTest, APostMakesTheLoopsDescriptorReadableAndRunsOnceInOrder) {
    std::string order;
    std::thread other([&] {
        EXPECT_TRUE(loop->post([&] { order += 'a'; }));
        EXPECT_TRUE(loop->post([&] { order += 'b'; }));
    });
    other.join();
    ASSERT_TRUE(readable());
    loop->dispatch();
    loop->dispatch();
    EXPECT_EQ(order, "ab");
    EXPECT_FALSE(readable(0));
}

TEST_F(LoopTest, APostFromAPostRunsInTheNextRound) {
    int depth = 0;
    (void)loop->post([&] {
        ++depth;
        (void)loop->post([&] { ++depth; });
    });
    loop->dispatch();
    EXPECT_EQ(depth, 1);
    EXPECT_TRUE(readable(0));
    loop->dispatch();
    EXPECT_EQ(depth, 2);
}

TEST_F(LoopTest, AWatchIsLevelTriggeredAndEndsFromItsOwnCallback) {
    int calls = 0;
    Loop::Id id = 0;
    auto watch = loop->watch(event.get(), FLOWD_IO_READ, [&](int fd, std::uint32_t ready) {
        EXPECT_EQ(fd, event.get());
        EXPECT_EQ(ready, FLOWD_IO_READ);
        if (++calls == 2) {
            EXPECT_TRUE(loop->unwatch(id));
        }
    });
    ASSERT_TRUE(watch);
    id = *watch;
    raise();
    for (int i = 0; i < 4; ++i) loop->dispatch();
    EXPECT_EQ(calls, 2);
    EXPECT_FALSE(readable(0)) << "the descriptor is ready, but nobody watches it";
    EXPECT_FALSE(loop->unwatch(id)) << "a stale handle names nothing";
}

TEST_F(LoopTest, ARemovedWatchIsNotLeftInTheEpollSet) {
    const auto is_in_set = [&] {
        std::ifstream about("/proc/self/fdinfo/" + std::to_string(loop->fd()));
        std::string word;
        for (int number = -1; about >> word;)
            if (word == "tfd:" && about >> number && number == event.get()) return true;
        return false;
    };
    const auto watch = loop->watch(event.get(), FLOWD_IO_READ, [](int, std::uint32_t) { FAIL(); });
    ASSERT_TRUE(watch);
    EXPECT_TRUE(is_in_set());
    EXPECT_TRUE(loop->unwatch(*watch));
    EXPECT_FALSE(is_in_set());
    raise();
    EXPECT_FALSE(readable(0)) << "the descriptor is ready, but nobody watches it";
    ASSERT_TRUE(loop->watch(event.get(), FLOWD_IO_READ, [](int, std::uint32_t) {}));
    loop->close();
    EXPECT_FALSE(is_in_set());
}

TEST_F(LoopTest, AWatchRemovedByAnotherCallbackOfTheSameRoundIsNotCalled) {
    const UniqueFd second(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    raise();
    int calls = 0;
    Loop::Id ids[2] = {};
    ids[0] = *loop->watch(event.get(), FLOWD_IO_READ, [&](int, std::uint32_t) {
        ++calls;
        loop->unwatch(ids[1]);
    });
    ids[1] = *loop->watch(second.get(), FLOWD_IO_READ, [&](int, std::uint32_t) {
        ++calls;
        loop->unwatch(ids[0]);
    });
    loop->dispatch();
    EXPECT_EQ(calls, 1) << "both were ready in this round, and the first removed the other";
    loop->dispatch();
    EXPECT_EQ(calls, 2) << "the one that is left";
}

TEST_F(LoopTest, AReusedDescriptorNumberCanBeWatchedAndIsIndependentOfTheOldHandle) {
    int calls = 0;
    auto old = loop->watch(event.get(), FLOWD_IO_READ, [](int, std::uint32_t) { FAIL(); });
    ASSERT_TRUE(old);
    const int number = event.get();
    event.reset();
    event.reset(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    ASSERT_EQ(event.get(), number) << "the lowest free number is given";
    ASSERT_TRUE(loop->watch(event.get(), FLOWD_IO_READ, [&](int, std::uint32_t) { ++calls; }));
    loop->unwatch(*old);
    loop->dispatch();
    EXPECT_EQ(calls, 1);
}

TEST_F(LoopTest, AFileThatCannotBeWatchedIsRefusedWithAReason) {
    ASSERT_TRUE(loop->watch(event.get(), FLOWD_IO_READ, [](int, std::uint32_t) {}));
    EXPECT_EQ(loop->watch(event.get(), FLOWD_IO_WRITE, [](int, std::uint32_t) {}).error().code, FLOWD_BUSY);
    const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(loop->watch(file.get(), FLOWD_IO_READ, [](int, std::uint32_t) {}).error().code, FLOWD_UNSUPPORTED);
    EXPECT_EQ(loop->watch(9999, FLOWD_IO_READ, [](int, std::uint32_t) {}).error().code, FLOWD_INVALID);
    EXPECT_EQ(loop->rewatch(12345, FLOWD_IO_READ), FLOWD_NOT_FOUND);
}

TEST_F(LoopTest, RewatchChangesTheConditions) {
    std::uint32_t seen = 0;
    const Loop::Id id = *loop->watch(event.get(), FLOWD_IO_READ, [&](int, std::uint32_t ready) { seen |= ready; });
    loop->dispatch();
    EXPECT_EQ(seen, 0U);
    EXPECT_EQ(loop->rewatch(id, FLOWD_IO_WRITE), FLOWD_OK);
    loop->dispatch();
    EXPECT_EQ(seen, FLOWD_IO_WRITE);
}

TEST_F(LoopTest, ATimerMakesTheDescriptorReadableAndFiresOnce) {
    bool fired = false;
    const Loop::Id id = loop->timer(1ms, 0ms, [&] { fired = true; });
    ASSERT_TRUE(readable());
    run_until(fired);
    EXPECT_TRUE(fired);
    fired = false;
    EXPECT_FALSE(readable(20)) << "once is once";
    EXPECT_FALSE(loop->cancel(id)) << "to cancel it later has no effect";
}

TEST_F(LoopTest, WhatATimerHoldsIsReleasedOnceItHasFired) {
    const auto held = std::make_shared<bool>(false);
    const auto timer = loop->timer(1ms, {}, [held] { *held = true; });
    EXPECT_EQ(held.use_count(), 2);
    run_until(*held);
    EXPECT_TRUE(*held);
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_FALSE(loop->cancel(timer));
}

TEST_F(LoopTest, APeriodicTimerCanCancelItselfAndMissedPeriodsAreNotMadeUp) {
    int fired = 0;
    bool done = false;
    Loop::Id id = 0;
    id = loop->timer(0ms, 5ms, [&] {
        if (++fired == 1) std::this_thread::sleep_for(50ms);  // ten periods long
        if (fired == 3) {
            done = true;
            EXPECT_TRUE(loop->cancel(id));
        }
    });
    run_until(done);
    EXPECT_EQ(fired, 3);
    loop->dispatch();
    EXPECT_EQ(fired, 3);
}

TEST_F(LoopTest, AnEndlessDelayDoesNotFireAtOnce) {
    (void)loop->timer(std::chrono::nanoseconds::max(), 0ms, [] { FAIL(); });
    loop->dispatch();
    EXPECT_FALSE(readable(0));
}

TEST_F(LoopTest, WorkRunsWhenWokenAndRepeatsWhileThereIsMore) {
    int left = 3;
    loop->set_work([&] { return --left > 0; });
    loop->wake();
    loop->wake();
    for (int i = 0; i < 10 && readable(0); ++i) loop->dispatch();
    EXPECT_EQ(left, 0);
}

TEST_F(LoopTest, DispatchFromACallbackDoesNothing) {
    bool nested = true;
    (void)loop->post([&] { nested = loop->dispatch(); });
    EXPECT_TRUE(loop->dispatch());
    EXPECT_FALSE(nested);
}

TEST_F(LoopTest, AClosedLoopRefusesPostsAndRunsNothing) {
    (void)loop->post([] { FAIL(); });
    (void)loop->timer(0ms, 1ms, [] { FAIL(); });
    ASSERT_TRUE(loop->watch(event.get(), FLOWD_IO_READ, [](int, std::uint32_t) { FAIL(); }));
    raise();
    loop->close();
    EXPECT_FALSE(loop->post([] { FAIL(); }));
    loop->dispatch();
}

TEST_F(LoopTest, PostsFromManyThreadsAllArrive) {
    std::atomic<int> count{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) (void)loop->post([&] { ++count; });
        });
    while (count < 4000) loop->wait(20s);
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(count, 4000);
}

TEST_F(LoopTest, AWakeUpDuringTheHandlingOfAnotherIsNotLost) {
    // More threads than there are processors, so that the loop is interrupted at every place.
    std::atomic<bool> enough{false};
    std::vector<std::thread> others;
    for (unsigned i = 0; i < 2 * std::thread::hardware_concurrency() + 2; ++i)
        others.emplace_back([&] {
            while (!enough) loop->wake();
        });
    constexpr int wanted = 100'000;
    int rounds = 0;
    while (rounds < wanted && readable(5'000)) {
        loop->dispatch();
        ++rounds;
    }
    EXPECT_EQ(rounds, wanted) << "asleep although others wake it";
    enough = true;
    for (auto& other : others) other.join();
}

}  // namespace
}  // namespace flowd::core
