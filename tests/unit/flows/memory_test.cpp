// SPDX-License-Identifier: Apache-2.0
// Memory may run out at each allocation of emit: then nothing was done, and the event can be offered again.
#include <array>
#include <cstdlib>
#include <new>

#include "core/flows/flow_store.hpp"
#include "tests/unit/flows/support.hpp"

namespace {

thread_local int allocations_left = -1;  // of this thread, until they fail; negative: they do not
thread_local bool has_failed = false;

void* allocate(std::size_t size) {
    if (allocations_left == 0) {
        has_failed = true;
        throw std::bad_alloc();
    }
    if (allocations_left > 0) --allocations_left;
    if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc();
}

}  // namespace

// Of the whole program: the only way to the allocations inside the containers.
void* operator new(std::size_t size) {
    return allocate(size);
}
void* operator new[](std::size_t size) {
    return allocate(size);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return std::malloc(size == 0 ? 1 : size);  // of std::stable_sort, which does without
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete[](void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace flowd::core::test {
namespace {

class OutOfMemory : public FlowsTest {
  protected:
    /// `event` after `before`, with memory running out at its first, second, ... allocation, then again with enough of it.
    /// Each backend is told `told` in all, and the flows can be ended as ever.
    void at_each_allocation(const std::vector<flowd_event>& before, const flowd_event& event, const std::string& told) {
        int failures = 0;
        for (int allowed = 0; allowed < 1000; ++allowed) {
            FlowLimits limits;
            limits.max_per_sender = 100;
            use(limits);
            const auto api = announcer("api");
            Backend first(*bus, "first");
            Backend second(*bus, "second");
            for (const flowd_event& one : before) ASSERT_EQ(bus->emit(api, &one, 1, sizeof one, nullptr), FLOWD_OK);
            const std::uint64_t live = bus->count();
            const std::uint64_t accepted = announcer_counters("api").accepted;

            std::size_t taken = 7;
            has_failed = false;
            allocations_left = allowed;
            const flowd_result result = bus->emit(api, &event, 1, sizeof event, &taken);
            allocations_left = -1;
            if (!has_failed) break;
            if (result != FLOWD_OK) {
                ++failures;
                ASSERT_EQ(result, FLOWD_NO_MEMORY);
                ASSERT_EQ(taken, 0u);
                ASSERT_EQ(bus->count(), live) << allowed;
                ASSERT_EQ(announcer_counters("api").live, live) << allowed;
                ASSERT_EQ(announcer_counters("api").accepted, accepted);
                ASSERT_EQ(refused("api", Refusal::no_memory), 1u);
                ASSERT_EQ(emit(api, event), FLOWD_OK);
            }
            ASSERT_EQ(story(first.take_all()), told) << allowed;
            ASSERT_EQ(story(second.take_all()), told) << allowed;
            for (std::uint32_t number = 1; number <= 3; ++number) {
                auto last = end(number);
                last.sender = 7;
                emit(api, last);
            }
            ASSERT_EQ(bus->count(), 0u) << allowed;
            ASSERT_EQ(announcer_counters("api").live, 0u) << allowed;
        }
        EXPECT_GT(failures, 0);
    }
    /// With everything that needs memory.
    flowd_event rich(flowd_event event) {
        event.application = text("an application with a name that is too long for a small string");
        event.rule = text("rules[0]");
        event.sender = 7;
        event.attachments = attachments_.data();
        event.attachment_count = attachments_.size();
        event.attachment_stride = sizeof(flowd_attachment);
        return event;
    }

  private:
    static flowd_attachment attachment(const char* id, std::uint32_t flags) {
        static const std::string bytes(1000, 'x');
        return {
            sizeof(flowd_attachment), flags, text(id), {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}};
    }
    std::array<flowd_attachment, 2> attachments_{attachment("a/1", FLOWD_ATTACHMENT_KEEP), attachment("b/1", 0)};
};

TEST_F(OutOfMemory, AtAStartChangesNothing) {
    at_each_allocation({}, rich(start(1)), "S1");
}

TEST_F(OutOfMemory, AtAnotherSendersStartChangesNothing) {
    auto first = start(1);
    first.sender = 7;
    auto other = rich(start(1));
    other.sender = 8;
    at_each_allocation({first}, other, "S1");
}

TEST_F(OutOfMemory, AtARetagChangesNothing) {
    auto first = start(1);
    first.sender = 7;
    at_each_allocation({first}, rich(start(1, {3, 3})), "S1 O1");
}

TEST_F(OutOfMemory, AtAnEndChangesNothing) {
    auto first = start(1);
    first.sender = 7;
    auto last = rich(end(1));
    last.usage = {5, 5, 0, 0, FLOWD_USAGE_APPLICATION, FLOWD_USAGE_BYTES};
    auto more = ongoing(1);
    more.sender = 7;
    more.usage = {500, 500, 0, 0, FLOWD_USAGE_APPLICATION, FLOWD_USAGE_BYTES};
    at_each_allocation({first, more}, last, "S1 O1 E1");
}

TEST_F(OutOfMemory, AtAnEndOfAnUnknownFlowChangesNothing) {
    at_each_allocation({}, rich(end(1)), "E1");
}

TEST_F(OutOfMemory, AtAStartAfterAnEndChangesNothing) {
    auto first = rich(start(1));
    auto last = end(1);
    last.sender = 7;
    at_each_allocation({first, last}, rich(start(1)), "S1 E1 S1");
}

TEST_F(OutOfMemory, AtAnEndTheFlowIsStillNotOneOfThoseThatMakeRoom) {
    FlowLimits limits;
    limits.max_live = 1;
    auto more = ongoing(1);
    more.usage = {500, 500, 0, 0, FLOWD_USAGE_APPLICATION, FLOWD_USAGE_BYTES};
    auto last = end(1);
    last.usage = {5, 5, 0, 0, FLOWD_USAGE_APPLICATION, FLOWD_USAGE_BYTES};
    int failures = 0;
    for (int allowed = 0; allowed < 1000; ++allowed) {
        use(limits);
        const auto api = announcer("api");
        ASSERT_EQ(emit(api, start(1)), FLOWD_OK);
        ASSERT_EQ(emit(api, more), FLOWD_OK);
        has_failed = false;
        allocations_left = allowed;
        const flowd_result result = bus->emit(api, &last, 1, sizeof last, nullptr);
        allocations_left = -1;
        if (!has_failed) break;
        if (result == FLOWD_OK) continue;
        ++failures;
        for (std::uint32_t number = 2; number < 1000; ++number) ASSERT_EQ(emit(api, start(number)), FLOWD_LIMIT);
        EXPECT_TRUE(bus->find(key_of(1), [](const flowd_flow&) {})) << allowed;
        EXPECT_EQ(emit(api, last), FLOWD_OK);
    }
    EXPECT_GT(failures, 0);
}

TEST_F(OutOfMemory, AtATombstoneTheRecordRemains) {
    RecordPages memory;
    FlowStore store(0, memory);
    store.reserve();
    const std::uint32_t index = store.add();
    store[index].key = key_of(1);
    store[index].state = FlowState::ended;
    store.link(index, 7);
    Match direction = Match::none;
    for (int allowed = 0; allowed < 1000; ++allowed) {
        allocations_left = allowed;
        const bool entombed = store.entomb(index, 7);
        allocations_left = -1;
        const std::uint32_t place = store.find(key_of(1), 7, direction);
        if (entombed) {
            EXPECT_GT(allowed, 0);
            EXPECT_EQ(place, store.tombstone(0));
            break;
        }
        ASSERT_EQ(place, index) << allowed;
        ASSERT_FALSE(store.has_tombstones());
    }
    EXPECT_TRUE(store.bury());
    EXPECT_EQ(store.find(key_of(1), 7, direction), FlowStore::none);
}

TEST_F(OutOfMemory, AtATombstoneTheEndIsDeliveredAndLeavesNothing) {
    int without_tombstone = 0;
    for (int allowed = 0; allowed < 1000; ++allowed) {
        use({});
        const auto api = announcer("api");
        Backend backend(*bus, "backend");
        ASSERT_EQ(emit(api, start(1)), FLOWD_OK);
        const flowd_event last = end(1);
        has_failed = false;
        allocations_left = allowed;
        const flowd_result result = bus->emit(api, &last, 1, sizeof last, nullptr);
        allocations_left = -1;
        if (!has_failed) break;
        if (result != FLOWD_OK) continue;
        if (bus->counters().ended_kept == 0) ++without_tombstone;
        EXPECT_EQ(story(backend.take_all()), "S1 E1");
        ASSERT_EQ(emit(api, start(1)), FLOWD_OK);
        ASSERT_EQ(emit(api, last), FLOWD_OK);
        EXPECT_EQ(story(backend.take_all()), "S1 E1");
        EXPECT_EQ(bus->counters().ended_kept, 1u);
    }
    EXPECT_GT(without_tombstone, 0);
}

TEST_F(OutOfMemory, AnEventRefusedByAFullQueueAllocatesNothing) {
    const auto api = announcer("api");
    Backend backend(*bus, "backend", all_kinds, small(1));
    ASSERT_EQ(emit(api, start(1)), FLOWD_OK);
    const flowd_event event = rich(start(2));
    allocations_left = 0;
    const flowd_result result = bus->emit(api, &event, 1, sizeof event, nullptr);
    allocations_left = -1;
    EXPECT_EQ(result, FLOWD_FULL);
}

}  // namespace
}  // namespace flowd::core::test
