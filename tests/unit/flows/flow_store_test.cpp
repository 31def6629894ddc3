// SPDX-License-Identifier: Apache-2.0
#include "core/flows/flow_store.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "core/flows/flow_key.hpp"
#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

TEST(FlowStore, FindsTheSameRecordsAsAMap) {
    RecordPages memory;
    FlowStore store(3, memory);
    std::map<std::uint32_t, std::uint32_t> model;  // number -> index
    std::mt19937 random(42);
    // Few distinct hashes, so that runs of buckets collide, wrap round and shift back.
    const auto hash_of = [](std::uint32_t number) { return number % 37 * 0xfffffffbu; };
    for (int step = 0; step < 20000; ++step) {
        const std::uint32_t number = random() % 300;
        const auto known = model.find(number);
        if (known == model.end()) {
            store.reserve();
            const auto index = store.add();
            store[index].key = key_of(number);
            store[index].state = FlowState::live;
            store.link(index, hash_of(number));
            model[number] = index;
        } else {
            store.unlink(known->second, hash_of(number));
            store.remove(known->second);
            model.erase(known);
        }
        const std::uint32_t probe = random() % 300;
        Match direction = Match::none;
        const auto expected = model.find(probe);
        ASSERT_EQ(store.find(turned(key_of(probe)), hash_of(probe), direction),
                  expected == model.end() ? FlowStore::none : expected->second);
        if (expected != model.end()) {
            ASSERT_EQ(direction, Match::reversed);
        }
    }
}

TEST(FlowStore, FindsEveryRecordWhileItsIndexGrows) {
    RecordPages memory;
    FlowStore store(3, memory);
    std::vector<std::uint32_t> present;                            // numbers
    std::vector<std::uint32_t> index_of(20'000, FlowStore::none);  // by number
    std::mt19937 random(42);
    const auto hash_of = [](std::uint32_t number) { return number * 0x9e3779b9u; };
    const auto expect_found = [&](std::uint32_t number) {
        Match direction = Match::none;
        ASSERT_EQ(store.find(key_of(number), hash_of(number), direction), index_of[number]) << number;
    };
    for (std::uint32_t number = 0; number < index_of.size(); ++number) {
        store.reserve();
        const auto index = store.add();
        store[index].key = key_of(number);
        store[index].state = FlowState::live;
        store.link(index, hash_of(number));
        index_of[number] = index;
        present.push_back(number);
        if (number % 3 == 2) {
            std::swap(present[random() % present.size()], present.back());
            const std::uint32_t gone = present.back();
            store.unlink(index_of[gone], hash_of(gone));
            store.remove(std::exchange(index_of[gone], FlowStore::none));
            present.pop_back();
            expect_found(gone);
        }
        for (int i = 0; i < 5; ++i) expect_found(present[random() % present.size()]);
    }
    for (std::uint32_t number = 0; number < index_of.size(); ++number) expect_found(number);
}

TEST(FlowStore, FindsATombstoneUntilItIsBuriedOrItsKeyIsTakenOver) {
    RecordPages memory;
    FlowStore store(3, memory);
    std::map<std::uint32_t, std::uint32_t> places;  // by number
    std::deque<std::uint32_t> ended;                // numbers, in the order of ending
    std::mt19937 random(42);
    const auto hash_of = [](std::uint32_t number) { return number * 0x9e3779b9u; };
    const auto find = [&](std::uint32_t number) {
        Match direction = Match::none;
        return store.find(key_of(number), hash_of(number), direction);
    };
    for (int step = 0; step < 50'000; ++step) {
        const std::uint32_t number = random() % 2000;
        const std::uint32_t place = find(number);
        const auto known = places.find(number);
        ASSERT_EQ(place, known == places.end() ? FlowStore::none : known->second);
        if (Flow* const flow = store.record_at(place)) {
            flow->state = FlowState::ended;
            flow->end_ns = number;
            flow->ender = 9;
            ASSERT_TRUE(store.entomb(place, hash_of(number)));
            ended.push_back(number);
            places[number] = find(number);
            ASSERT_TRUE(FlowStore::is_tombstone(places[number]));
            ASSERT_EQ(store.end_at(places[number]).end_ns, number);
            ASSERT_EQ(store.end_at(places[number]).ender, 9);
        } else {
            store.reserve();
            const auto index = store.add();
            store[index].key = key_of(number);
            store[index].state = FlowState::live;
            place == FlowStore::none ? store.link(index, hash_of(number)) : store.relink(place, index, hash_of(number));
            places[number] = index;
        }
        while (ended.size() > 300) {
            const std::uint32_t oldest = ended.front();
            ended.pop_front();
            const auto own = places.find(oldest);
            const bool is_its = own != places.end() && own->second == store.tombstone(0);
            ASSERT_EQ(store.bury(), is_its);
            if (is_its) places.erase(own);
        }
    }
    EXPECT_EQ(store.tombstones(), ended.size());
}

/// A store in which all keys have one hash, the worst case.
class OneHash : public ::testing::Test {
  protected:
    std::uint32_t add(std::uint32_t number) {
        store.reserve();
        const auto index = store.add();
        store[index].key = key_of(number);
        store[index].state = FlowState::live;
        store.link(index, 7);
        return index;
    }
    /// Adds records until the index grows. Only the last one, of this number, is in the present index then.
    std::uint32_t grow() {
        std::uint32_t number = 1000;
        add(number);
        for (const std::size_t bytes = store.bytes(); store.bytes() == bytes;) add(++number);
        return number;
    }
    std::uint32_t find(std::uint32_t number) {
        Match direction = Match::none;
        return store.find(key_of(number), 7, direction);
    }
    RecordPages memory;
    FlowStore store{3, memory};
};

TEST_F(OneHash, ARecordIsFoundBeforeATombstone) {
    ASSERT_TRUE(store.entomb(add(1), 7));
    const std::uint32_t second = add(2);
    EXPECT_EQ(find(2), second);
    EXPECT_EQ(find(1), store.tombstone(0));
    for (std::uint32_t number = 3; number < 500; ++number) {  // the index grows several times
        const std::uint32_t own = add(number);
        ASSERT_EQ(find(number), own);
        ASSERT_EQ(find(2), second);
        ASSERT_EQ(find(1), store.tombstone(0));
    }
}

TEST_F(OneHash, ARecordInTheFormerIndexIsFoundBeforeATombstoneInThePresentOne) {
    const std::uint32_t first = add(1);
    const std::uint32_t last = grow();
    ASSERT_TRUE(store.entomb(find(last), 7));
    EXPECT_EQ(find(1), first);
    EXPECT_EQ(find(last), store.tombstone(0));
}

TEST_F(OneHash, ATombstoneInTheFormerIndexIsFoundBesideARecordInThePresentOne) {
    ASSERT_TRUE(store.entomb(add(1), 7));
    const std::uint32_t last = grow();
    EXPECT_NE(store.record_at(find(last)), nullptr);
    EXPECT_EQ(find(1), store.tombstone(0));
}

TEST(FlowStore, AnIdIsNeverUsedTwice) {
    RecordPages memory;
    FlowStore store(31, memory);
    std::map<std::uint64_t, int> seen;
    for (int i = 0; i < 1000; ++i) {
        store.reserve();
        const auto index = store.add();
        store[index].state = FlowState::live;
        const auto id = store[index].id;
        EXPECT_EQ(++seen[id], 1);
        EXPECT_EQ(FlowStore::shard_of(id), 31u);
        EXPECT_EQ(store.by_id(id), &store[index]);
        if (i % 3 == 0) continue;
        store.remove(index);
        EXPECT_EQ(store.by_id(id), nullptr);
    }
}

TEST(FlowStore, AnIdIsExactInJsonHoweverOftenARecordIsReused) {
    RecordPages memory;
    FlowStore store(31, memory);
    std::uint64_t last = 0;
    std::uint64_t highest = 0;
    std::uint32_t records = 0;
    for (std::uint32_t flows = 0; flows < 3u << 20; ++flows) {
        store.reserve();
        const std::uint32_t index = store.add();
        const std::uint64_t id = store[index].id;
        records = std::max(records, index + 1);
        highest = std::max(highest, id);
        ASSERT_NE(id, last);
        last = id;
        store.remove(index);
    }
    EXPECT_LT(highest, std::uint64_t{1} << 53);
    EXPECT_EQ(records, 2u);
}

}  // namespace
}  // namespace flowd::core::test
