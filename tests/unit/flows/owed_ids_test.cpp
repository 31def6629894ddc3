// SPDX-License-Identifier: Apache-2.0
#include "core/flows/owed_ids.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <set>

namespace flowd::core::test {
namespace {

TEST(OwedIds, KeepsTheOrderOfThoseThatAreOwedAndDropsTheOthers) {
    OwedIds ids(16);
    std::deque<std::uint64_t> model;  // those that are owed, the oldest first
    std::set<std::uint64_t> owed;
    std::mt19937 random(42);
    std::uint64_t last = 0;
    const auto is_owed = [&](std::uint64_t id) { return owed.count(id) != 0; };
    const auto settle = [&](std::size_t at) {
        ids.undo(model[at]);
        owed.erase(model[at]);
        model.erase(model.begin() + static_cast<std::ptrdiff_t>(at));
    };
    const auto give_up = [&] {
        while (!ids.empty() && !is_owed(ids.front())) ids.pop_front();
        ASSERT_FALSE(ids.empty());
        ASSERT_EQ(ids.front(), model.front());
        ids.pop_front();
        owed.erase(model.front());
        model.pop_front();
    };
    std::size_t most = 0;
    for (int round = 0; round < 300; ++round) {
        for (std::uint32_t steps = random() % 2000; steps > 0; --steps) {
            // The newest ones, or any others; the oldest one stays for long.
            const bool newest = random() % 2 == 0;
            for (std::uint32_t i = random() % 20; i > 0 && model.size() > 1; --i)
                settle(newest ? model.size() - 1 : 1 + random() % (model.size() - 1));
            for (std::uint32_t i = random() % 20; i > 0; --i) {
                ids.push_back(++last);
                model.push_back(last);
                owed.insert(last);
            }
            most = std::max(most, model.size());
            if (random() % 100 == 0 && !model.empty()) give_up();
            std::uint32_t left = 64;
            ids.tidy(left, is_owed);
            ASSERT_LT(ids.bytes(), (200 + 4 * most) * sizeof(std::uint64_t)) << last << " were added";
        }
        while (!model.empty() && !HasFatalFailure()) give_up();
    }
}

TEST(OwedIds, MayLoseItsLastOnesWhileItLooksForOthers) {
    OwedIds ids(4);
    for (std::uint64_t id = 1; id <= 6; ++id) ids.push_back(id);
    const auto all = [](std::uint64_t) { return true; };
    std::uint32_t left = 5;
    ids.tidy(left, all);
    for (std::uint64_t id = 6; id > 2; --id) ids.undo(id);
    for (std::uint64_t id = 7; id <= 8; ++id) ids.push_back(id);
    left = 5;
    ids.tidy(left, all);
    for (const std::uint64_t id : {1, 2, 7, 8}) {
        ASSERT_FALSE(ids.empty());
        EXPECT_EQ(ids.front(), id);
        ids.pop_front();
    }
    EXPECT_TRUE(ids.empty());
}

}  // namespace
}  // namespace flowd::core::test
