// SPDX-License-Identifier: Apache-2.0
#include "flowd/event.hpp"

#include <gtest/gtest.h>

namespace flowd {
namespace {

flowd_key key() {
    return make_key({*Address::parse("2001:db8::1"), 1234}, {*Address::parse("192.0.2.9"), 443}, 6);
}

TEST(Event, CarriesItsTextAndAttachmentsWhereverItIsMoved) {
    Event first = Event::start(key(), {2, 7});
    first.application("xrootd").attach(FLOWD_ATTACHMENT_DATAGRAM, "bytes").attach("example.org/1", "more");
    first->local = FLOWD_LOCAL_SOURCE;
    const Event copy = first;
    const Event moved = std::move(first);
    for (const Event* event : {&copy, &moved}) {
        const EventView view(event->raw());
        EXPECT_TRUE(view.is_start());
        EXPECT_EQ(view->size, sizeof(flowd_event));
        EXPECT_EQ(view->local, FLOWD_LOCAL_SOURCE);
        EXPECT_EQ(view.application(), "xrootd");
        EXPECT_EQ(view.attachments().size(), 2u);
        EXPECT_EQ(view.attachment("example.org/1"), "more");
        EXPECT_EQ(view.attachment("nobody/1"), "");
        EXPECT_EQ(view.source().to_string(), "[2001:db8::1]:1234");
        EXPECT_EQ(view.destination().to_string(), "192.0.2.9:443");
    }
}

TEST(Events, OfANewerCoreAreReadByTheirStride) {
    struct Wider {
        flowd_event event;
        std::uint64_t new_member;
    };
    Wider raw[3];
    for (auto& one : raw) {
        one.event = Event::end(key(), {1, 1}).raw();
        one.event.size = sizeof(Wider);
        one.event.flags = FLOWD_RETAGGED | FLOWD_NO_START;
    }
    int ends = 0;
    for (const EventView event : Events(&raw[0].event, 3, sizeof(Wider))) {
        ends += event.is_end() ? 1 : 0;
        EXPECT_TRUE(event.has(FLOWD_NO_START));
        EXPECT_FALSE(event.has(FLOWD_NO_START | FLOWD_RESYNC));
    }
    EXPECT_EQ(ends, 3);
}

TEST(Event, HasARuleAndKeptAttachments) {
    Event event = Event::start(key(), {1, 1});
    event.rule("rules[2]").attach("flowd.json/storage", "{}", FLOWD_ATTACHMENT_KEEP).attach("org.example.once/1", "x");
    const Event moved = std::move(event);
    const EventView view(moved.raw());
    EXPECT_EQ(view.rule(), "rules[2]");
    std::vector<std::uint32_t> flags;
    for (const flowd_attachment& one : view.attachments()) flags.push_back(one.flags);
    EXPECT_EQ(flags, (std::vector<std::uint32_t>{FLOWD_ATTACHMENT_KEEP, 0}));
}

TEST(Event, HasUsageWhenBytesWereMeasured) {
    Event event = Event::end(key(), {1, 1});
    EXPECT_FALSE(EventView(event.raw()).has_usage());
    event->usage.known = FLOWD_USAGE_PACKETS;
    EXPECT_FALSE(EventView(event.raw()).has_usage());
    event->usage.known |= FLOWD_USAGE_BYTES;
    EXPECT_TRUE(EventView(event.raw()).has_usage());
}

TEST(Event, CatchAllHasATagAndItsClearNone) {
    EXPECT_EQ(Event::catch_all({3, 4})->tag.activity, 4u);
    EXPECT_EQ(Event::catch_all_clear()->tag.activity, 0u);
    EXPECT_TRUE(same_tag(Event::catch_all({3, 4})->tag, {3, 4}));
}

}  // namespace
}  // namespace flowd
