// SPDX-License-Identifier: Apache-2.0
// flowd.flows/1: pages of live flows by a filter.
#include <map>
#include <set>

#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

class Page : public FlowsTest {
  protected:
    static flowd_flow_filter filter(std::uint32_t members) {
        flowd_flow_filter out{};
        out.size = sizeof out;
        out.members = members;
        return out;
    }
    /// All that match, page by page; the number of calls in `calls`.
    std::multiset<std::uint32_t> all(const flowd_flow_filter* wanted = nullptr, std::size_t limit = 100) {
        std::multiset<std::uint32_t> seen;
        std::uint64_t cursor = 0;
        calls = 0;
        do {
            std::size_t visited = 0;
            EXPECT_EQ(bus->page(wanted, cursor, limit,
                                [&](const flowd_flow& flow) {
                                    seen.insert(number_of(flow.key));
                                    ++visited;
                                    return true;
                                }),
                      FLOWD_OK);
            EXPECT_LE(visited, limit);
            ++calls;
        } while (cursor != 0 && calls < 100'000);
        EXPECT_EQ(cursor, 0u);
        return seen;
    }
    static std::uint32_t number_of(const flowd_key& key) {
        return key.destination_port | static_cast<std::uint32_t>(key.destination[12]) << 16 |
               static_cast<std::uint32_t>(key.destination[11]) << 24;
    }
    using Numbers = std::multiset<std::uint32_t>;
    int calls = 0;
};

TEST_F(Page, EachLiveFlowIsVisitedOnceWhateverThePageSize) {
    const auto api = announcer("api");
    Numbers live;
    for (std::uint32_t i = 1; i <= 500; ++i) {
        emit(api, start(i));
        if (i % 3 == 0)
            emit(api, end(i));
        else
            live.insert(i);
    }
    for (const std::size_t limit : {1, 7, 333, 1000}) EXPECT_EQ(all(nullptr, limit), live) << limit;
    std::uint64_t cursor = 0;
    EXPECT_EQ(bus->page(nullptr, cursor, 0, [](const flowd_flow&) { return true; }), FLOWD_OK);
    EXPECT_NE(cursor, 0u) << "a page of none is not the last one";
}

TEST_F(Page, AFlowNamesTheInstanceThatGaveItsTag) {
    const auto api = announcer("api"), pipe = announcer("namedpipe/storm");
    emit(api, start(1));
    emit(pipe, start(2));
    std::map<std::uint32_t, std::string> names;
    bus->visit([&](std::span<const flowd_flow> flows) {
        for (const flowd_flow& flow : flows) names[number_of(flow.key)] = text(flow.announcer);
        return true;
    });
    EXPECT_EQ(names, (std::map<std::uint32_t, std::string>{{1, "api"}, {2, "namedpipe/storm"}}));
}

TEST_F(Page, AnEmptyTableIsOnePage) {
    EXPECT_EQ(all(), Numbers());
    EXPECT_EQ(calls, 1);
}

TEST_F(Page, AfterAVisitorEndsTheCallTheCursorContinuesAfterItsFlow) {
    const auto api = announcer("api");
    for (std::uint32_t i = 1; i <= 100; ++i) emit(api, start(i));
    Numbers seen;
    std::uint64_t cursor = 0;
    do {
        EXPECT_EQ(bus->page(nullptr, cursor, 50,
                            [&](const flowd_flow& flow) {
                                seen.insert(number_of(flow.key));
                                return seen.size() % 3 != 0;
                            }),
                  FLOWD_OK);
    } while (cursor != 0);
    EXPECT_EQ(seen.size(), 100u);
    EXPECT_EQ(std::set(seen.begin(), seen.end()).size(), 100u);
}

TEST_F(Page, AFlowMatchesIfAllMembersOfTheFilterDo) {
    const auto api = announcer("api");
    const auto relay = announcer("fireflyp/regional");
    const auto put = [&](AnnouncerId who, std::uint32_t number, const char* source, std::uint16_t port,
                         std::uint8_t protocol, flowd_tag tag, std::uint64_t sender) {
        auto event = start(number, tag);
        event.key = make_key({*Address::parse(source), port}, {*Address::parse("2001:db8:f::1"), 0}, protocol);
        event.key.destination_port = static_cast<std::uint16_t>(number);
        event.sender = sender;
        EXPECT_EQ(emit(who, event), FLOWD_OK);
    };
    put(api, 1, "2001:db8:a::1", 1094, 6, {2, 16}, 0);
    put(relay, 2, "2001:db8:b::1", 1094, 17, {2, 17}, 7);
    put(relay, 3, "2001:db8:b:8000::1", 443, 6, {3, 16}, 8);
    put(api, 4, "192.0.2.1", 443, 6, {2, 16}, 9);
    emit(relay, [&] {
        auto further = start(4, {2, 16});
        further.key = make_key({*Address::parse("192.0.2.1"), 443}, {*Address::parse("2001:db8:f::1"), 4}, 6);
        further.sender = 7;
        return further;
    }());

    auto wanted = filter(0);
    EXPECT_EQ(all(&wanted), Numbers({1, 2, 3, 4}));
    wanted.tag = {2, 16};
    const auto matching = [&](std::uint32_t members) {
        wanted.members = members;
        Numbers seen;
        std::uint64_t cursor = 0;
        do {
            EXPECT_EQ(bus->page(&wanted, cursor, 10,
                                [&](const flowd_flow& flow) {
                                    seen.insert(flow.key.destination_port);
                                    return true;
                                }),
                      FLOWD_OK);
        } while (cursor != 0);
        return seen;
    };
    EXPECT_EQ(matching(FLOWD_FILTER_EXPERIMENT), Numbers({1, 2, 4}));
    EXPECT_EQ(matching(FLOWD_FILTER_ACTIVITY), Numbers({1, 3, 4}));
    EXPECT_EQ(matching(FLOWD_FILTER_EXPERIMENT | FLOWD_FILTER_ACTIVITY), Numbers({1, 4}));
    wanted.protocol = 17;
    EXPECT_EQ(matching(FLOWD_FILTER_PROTOCOL), Numbers({2}));
    wanted.port = 443;
    EXPECT_EQ(matching(FLOWD_FILTER_PORT), Numbers({3, 4}));
    wanted.port = 2;
    EXPECT_EQ(matching(FLOWD_FILTER_PORT), Numbers({2})) << "of either end";
    const auto network = [&](const char* address, std::uint32_t length) {
        const auto bytes = Address::parse(address)->bytes();
        std::copy(bytes.begin(), bytes.end(), wanted.network);
        wanted.prefix_length = length;
        return matching(FLOWD_FILTER_NETWORK);
    };
    EXPECT_EQ(network("2001:db8:b::", 48), Numbers({2, 3}));
    EXPECT_EQ(network("2001:db8:b::", 49), Numbers({2})) << "a length that is no multiple of 8";
    EXPECT_EQ(network("2001:db8:f::1", 128), Numbers({1, 2, 3, 4})) << "the other end";
    EXPECT_EQ(network("192.0.2.0", 120), Numbers({4}));
    EXPECT_EQ(network("::", 0), Numbers({1, 2, 3, 4}));
    wanted.announcer = text("fireflyp/regional");
    EXPECT_EQ(matching(FLOWD_FILTER_ANNOUNCER), Numbers({2, 3, 4})) << "whoever gave the tag";
    wanted.announcer = text("fireflyp");
    EXPECT_EQ(matching(FLOWD_FILTER_ANNOUNCER), Numbers()) << "the whole name";
    wanted.sender = 7;
    EXPECT_EQ(matching(FLOWD_FILTER_SENDER), Numbers({2, 4})) << "also one that is not the first";
    wanted.sender = 8;
    EXPECT_EQ(matching(FLOWD_FILTER_SENDER | FLOWD_FILTER_EXPERIMENT), Numbers());
}

TEST_F(Page, MalformedFiltersAndCursorsAreRefused) {
    const auto api = announcer("api");
    emit(api, start(1));
    std::uint64_t cursor = 0;
    const auto page = [&](const flowd_flow_filter& wanted) {
        return bus->page(&wanted, cursor, 10, [](const flowd_flow&) { return true; });
    };
    auto wanted = filter(FLOWD_FILTER_SENDER << 1);
    EXPECT_EQ(page(wanted), FLOWD_UNSUPPORTED);
    wanted = filter(0);
    wanted.prefix_length = 129;
    EXPECT_EQ(page(wanted), FLOWD_INVALID);
    wanted = filter(0);
    wanted.reserved = 1;
    EXPECT_EQ(page(wanted), FLOWD_INVALID);
    for (const std::uint64_t forged : {std::uint64_t{1}, std::uint64_t{0xffffffff}, std::uint64_t{1} << 32 | 1'000'000,
                                       std::uint64_t{33} << 32, ~std::uint64_t{0}}) {
        cursor = forged;
        EXPECT_EQ(bus->page(nullptr, cursor, 10, [](const flowd_flow&) { return true; }), FLOWD_INVALID) << forged;
        EXPECT_EQ(cursor, forged);
    }
}

TEST_F(Page, FlowsMayStartAndEndBetweenPages) {
    const auto api = announcer("api");
    for (std::uint32_t i = 1; i <= 300; ++i) emit(api, start(i));
    std::map<std::uint64_t, int> seen;
    std::uint64_t cursor = 0;
    std::uint32_t next = 1000;
    std::uint32_t oldest = 1;
    do {
        EXPECT_EQ(bus->page(nullptr, cursor, 5,
                            [&](const flowd_flow& flow) {
                                ++seen[flow.flow_id];
                                emit(api, start(next++));  // no lock is held
                                return true;
                            }),
                  FLOWD_OK);
        if (oldest <= 200) emit(api, end(oldest++));
        if (next > 1600) break;
    } while (cursor != 0);
    for (const auto& [id, count] : seen) EXPECT_EQ(count, 1) << id;
    EXPECT_GE(seen.size(), 300u - 200u);
}

TEST_F(Page, OneCallExaminesALimitedNumberOfRecords) {
    const auto api = announcer("api");
    constexpr std::uint32_t flows = 200'000;
    for (std::uint32_t i = 0; i < flows; ++i) emit(api, start(i, {2, 16}));
    auto wanted = filter(FLOWD_FILTER_EXPERIMENT);
    wanted.tag = {9, 9};
    EXPECT_EQ(all(&wanted), Numbers());
    EXPECT_GE(calls, 3) << "no single call walks them all, though nothing matches";
    EXPECT_LE(calls, 8);
}

}  // namespace
}  // namespace flowd::core::test
