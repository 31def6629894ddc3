// SPDX-License-Identifier: Apache-2.0
// Who announces a flow, what follows from it, and what is told of it.
#include "core/flows/announcements.hpp"
#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

flowd_event from(std::uint64_t sender, flowd_event event) {
    event.sender = sender;
    return event;
}
flowd_event with_flags(std::uint32_t flags, flowd_event event) {
    event.flags = flags;
    return event;
}

class InstancesOfFlow : public FlowsTest {
  protected:
    [[nodiscard]] flowd_flow flow(std::uint32_t number) const {
        flowd_flow out{};
        EXPECT_TRUE(bus->find(key_of(number), [&](const flowd_flow& found) { out = found; })) << number;
        return out;
    }
    std::vector<std::uint64_t> ids(AnnouncerId id, const std::vector<flowd_event>& events) {
        std::vector<std::uint64_t> out(events.size(), 77);
        std::size_t accepted = 0;
        bus->emit(id, events.data(), events.size(), sizeof(flowd_event), &accepted, out.data());
        return out;
    }
};

TEST_F(InstancesOfFlow, EmitReturnsTheIdOfEachEventsFlow) {
    const auto api = announcer("api");
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    flowd_event catch_all{};
    catch_all.size = sizeof catch_all;
    catch_all.kind = FLOWD_EVENT_CATCH_ALL;
    const auto first = ids(api, {start(1), ongoing(2), start(1), catch_all});
    EXPECT_EQ(first[0], flow(1).flow_id);
    EXPECT_EQ(first[1], flow(2).flow_id);
    EXPECT_EQ(first[2], first[0]);
    EXPECT_EQ(first[3], 0u);
    EXPECT_EQ(ids(rule, {end(1)})[0], first[0]) << "a foreign end is of this flow";
    const auto ended = ids(api, {end(1), end(1), ongoing(1), end(9)});
    EXPECT_EQ(ended[0], first[0]);
    EXPECT_EQ(ended[1], 0u) << "it had ended";
    EXPECT_EQ(ended[2], 0u);
    EXPECT_NE(ended[3], 0u) << "an end that is passed on alone";

    auto bad = start(3);
    bad.key.protocol = 0;
    const auto broken = ids(api, {start(4), bad, start(5)});
    EXPECT_EQ(broken[0], flow(4).flow_id);
    EXPECT_EQ(broken[1], 0u);
    EXPECT_EQ(broken[2], 0u) << "not accepted";
}

TEST_F(InstancesOfFlow, TheRuleIsThatOfTheInstanceThatGaveTheTag) {
    const auto netlink = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto iperf3 = announcer("iperf3", FLOWD_PRECEDENCE_RULE);
    const auto by = [](const char* rule, flowd_event event) {
        event.rule = text(rule);
        return event;
    };
    const auto said = [this] {
        std::string rule, announcer;
        std::uint32_t precedence = 0;
        bus->find(key_of(1), [&](const flowd_flow& found) {
            rule = text(found.rule);
            announcer = text(found.announcer);
            precedence = found.precedence;
        });
        return announcer + " " + rule + " " + std::to_string(precedence);
    };
    emit(netlink, by("rules[0]", start(1)));
    emit(iperf3, by("ports[1]", start(1)));
    EXPECT_EQ(said(), "netlink rules[0] 32") << "another that did not give the tag";
    emit(netlink, by("rules[3]", ongoing(1)));
    EXPECT_EQ(said(), "netlink rules[3] 32") << "its latest";
    auto withdrawn = end(1);
    withdrawn.end_reason = FLOWD_END_WITHDRAWN;
    emit(netlink, withdrawn);
    EXPECT_EQ(said(), "netlink rules[3] 0") << "nobody announces it with a tag now";
    emit(iperf3, by("ports[1]", ongoing(1)));
    EXPECT_EQ(said(), "iperf3 ports[1] 32");
    emit(iperf3, ongoing(1));
    EXPECT_EQ(said(), "iperf3  32") << "its latest had none";
}

TEST_F(InstancesOfFlow, AnEventThatNamesItsFlowCountsForThatFlowOnly) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    Backend firefly(*bus, "firefly");
    const std::uint64_t first = ids(meter, {start(1)})[0];
    const auto named = [](std::uint64_t flow_id, flowd_event event) {
        event.flow_id = flow_id;
        return event;
    };
    EXPECT_EQ(ids(meter, {named(first, ongoing(1))})[0], first);
    EXPECT_EQ(ids(meter, {named(first, end(1))})[0], first);
    EXPECT_EQ(ids(meter, {named(first, start(1))})[0], 0u) << "it has ended";
    const std::uint64_t second = ids(meter, {start(1)})[0];
    EXPECT_NE(second, first);
    EXPECT_EQ(ids(meter, {named(first, end(1))})[0], 0u) << "another flow of the tuple";
    EXPECT_EQ(ids(meter, {named(77, start(2))})[0], 0u);
    EXPECT_EQ(bus->count(), 1u);
    EXPECT_EQ(story(firefly.take_all()), "S1 O1 E1 S1");
    EXPECT_EQ(effect("perfsonar", Effect::late), 3u);
}

TEST_F(InstancesOfFlow, EventsAndFlowsHaveTheInstanceThatGaveTheTagAndTheRule) {
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto relay = announcer("fireflyp/regional");
    Backend firefly(*bus, "firefly");
    auto by_rule = from(7, start(1, {2, 16}));
    by_rule.rule = text("rules[2]");
    emit(rule, by_rule);
    auto explicitly = from(8, start(1, {3, 14}));
    explicitly.application = text("xrootd");
    emit(relay, explicitly);
    emit(relay, from(8, end(1)));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 O1 E1");
    EXPECT_EQ(told[0].announcer, "netlink");
    EXPECT_EQ(told[0].rule, "rules[2]");
    EXPECT_EQ(told[0].event.precedence, std::uint32_t{FLOWD_PRECEDENCE_RULE});
    EXPECT_EQ(told[0].event.sender, 7u);
    for (const std::size_t i : {1, 2}) {
        EXPECT_EQ(told[i].announcer, "fireflyp/regional");
        EXPECT_EQ(told[i].rule, "");
        EXPECT_EQ(told[i].application, "xrootd");
        EXPECT_EQ(told[i].event.precedence, std::uint32_t{FLOWD_PRECEDENCE_EXPLICIT});
        EXPECT_EQ(told[i].event.sender, 7u) << "who announced it first";
    }
    EXPECT_EQ(told[2].event.end_reason, std::uint32_t{FLOWD_END_ANNOUNCED});
}

TEST_F(InstancesOfFlow, AQueuedEventKeepsTheNameOfARemovedInstance) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    bus->remove_announcer(api);
    const auto pipe = announcer("namedpipe");  // in the same slot
    emit(pipe, start(2));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 E1 S2");
    EXPECT_EQ(told[0].announcer, "api");
    EXPECT_EQ(told[1].announcer, "api");
    EXPECT_EQ(told[2].announcer, "namedpipe");
}

TEST_F(InstancesOfFlow, AFlowHasAFlagIfAllInstancesThatAnnounceItSetIt) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    const auto relay = announcer("fireflyp");
    const auto flags = [&] { return flow(1).flags; };
    constexpr std::uint32_t metered = FLOWD_METERED;
    constexpr std::uint32_t learnt = FLOWD_LEARNT_REMOTELY | FLOWD_NOT_TO_PEER;
    emit(meter, with_flags(metered, start(1)));
    EXPECT_EQ(flags(), metered);
    emit(relay, with_flags(learnt, start(1)));
    EXPECT_EQ(flags(), 0u);
    emit(meter, with_flags(metered, ongoing(1)));
    EXPECT_EQ(flags(), 0u);
    auto withdrawn = with_flags(learnt, end(1));
    withdrawn.end_reason = FLOWD_END_WITHDRAWN;
    emit(relay, withdrawn);
    EXPECT_EQ(flags(), metered) << "it has left";
    emit(relay, with_flags(learnt | metered, start(1)));
    EXPECT_EQ(flags(), metered);
    emit(relay, with_flags(learnt, start(1)));
    EXPECT_EQ(flags(), 0u) << "it says something else now";
    bus->remove_announcer(meter);
    EXPECT_EQ(flags(), learnt);
}

TEST_F(InstancesOfFlow, NoneAllowsTheRemoteEndToBeToldOfAFlowThatIsMeteredAndLearnt) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    const auto relay = announcer("fireflyp");
    emit(meter, with_flags(FLOWD_METERED | FLOWD_NOT_TO_PEER, start(1)));
    emit(relay, with_flags(FLOWD_LEARNT_REMOTELY, start(1)));
    EXPECT_EQ(flow(1).flags, std::uint32_t{FLOWD_NOT_TO_PEER});
    bus->remove_announcer(meter);
    EXPECT_EQ(flow(1).flags, std::uint32_t{FLOWD_LEARNT_REMOTELY | FLOWD_NOT_TO_PEER});
}

TEST_F(InstancesOfFlow, BackendsReceiveTheSameFlagsInWhateverOrderInstancesAnnounce) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    const auto relay = announcer("fireflyp");
    Backend firefly(*bus, "firefly");
    emit(meter, with_flags(FLOWD_METERED, start(1)));
    emit(relay, start(1));  // the same tag
    emit(relay, start(2));
    emit(meter, with_flags(FLOWD_METERED, start(2)));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 O1 S2");
    EXPECT_EQ(told[0].event.flags, std::uint32_t{FLOWD_METERED});
    EXPECT_EQ(told[1].event.flags, 0u) << "from now on it is announced";
    EXPECT_EQ(told[2].event.flags, 0u);
}

TEST_F(InstancesOfFlow, AMeteredFlowExpiresByIdleTimeAgainAfterAnAnnouncementEnds) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    const auto api = announcer("api");
    emit(meter, with_flags(FLOWD_METERED, start(1)));
    emit(api, start(1));
    pass(120);
    EXPECT_EQ(bus->count(), 1u);
    bus->remove_announcer(api);
    pass(10);
    EXPECT_EQ(bus->count(), 0u);
}

// case C04
TEST_F(InstancesOfFlow, InstancesAndTheirSendersAreCounted) {
    const auto relay = announcer("fireflyp");
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    emit(relay, from(7, start(1)));
    EXPECT_EQ(flow(1).announcers, 1u);
    emit(relay, from(8, event_of(FLOWD_EVENT_START, turned(key_of(1)))));
    emit(relay, from(8, start(1)));
    EXPECT_EQ(flow(1).announcers, 2u) << "two daemons announce one connection";
    emit(rule, start(1));
    EXPECT_EQ(flow(1).announcers, 3u);
    EXPECT_EQ(flow(1).sender, 7u) << "the first";
    EXPECT_EQ(effect("fireflyp", Effect::joined), 1u);
    EXPECT_EQ(effect("fireflyp", Effect::refreshed), 1u);
    bus->remove_announcer(rule);
    EXPECT_EQ(flow(1).announcers, 2u);
}

TEST_F(InstancesOfFlow, OnlyASenderThatAnnouncedAFlowEndsItForItsInstance) {
    const auto relay = announcer("fireflyp");
    Backend firefly(*bus, "firefly");
    emit(relay, from(7, start(1)));
    emit(relay, from(8, start(1)));
    emit(relay, from(9, end(1)));
    EXPECT_EQ(story(firefly.take_all()), "S1");
    EXPECT_EQ(effect("fireflyp", Effect::foreign_end), 1u);
    emit(relay, from(8, end(1)));
    EXPECT_EQ(story(firefly.take_all()), "E1") << "any of its senders ends it for the instance";

    emit(relay, from(0, start(2)));
    emit(relay, from(9, end(2)));
    emit(relay, from(7, start(3)));
    emit(relay, from(0, end(3)));
    EXPECT_EQ(story(firefly.take_all()), "S2 E2 S3 E3") << "0 is not told apart";
}

TEST_F(InstancesOfFlow, AnEndFromAnInstanceThatDoesNotAnnounceTheFlowNeedsAHigherPrecedence) {
    const auto rule = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    const auto other_rule = announcer("iperf3", FLOWD_PRECEDENCE_RULE);
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(rule, start(1));
    emit(other_rule, end(1));
    EXPECT_EQ(story(firefly.take_all()), "S1");
    EXPECT_EQ(effect("iperf3", Effect::foreign_end), 1u);
    emit(api, end(1));
    EXPECT_EQ(story(firefly.take_all()), "E1");
}

TEST_F(InstancesOfFlow, TheSendersOfAFlowAreLimited) {
    const auto relay = announcer("fireflyp");
    const auto api = announcer("api");
    for (std::uint64_t sender = 1; sender <= 1000; ++sender) emit(relay, from(sender, start(1)));
    EXPECT_EQ(flow(1).announcers, Announcements::max_senders);
    emit(api, start(1));
    EXPECT_EQ(flow(1).announcers, Announcements::max_senders + 1) << "another instance is always remembered";
    bus->remove_announcer(relay);
    EXPECT_EQ(flow(1).announcers, 1u);
    emit(api, end(1));
    EXPECT_EQ(bus->count(), 0u);
}

TEST_F(InstancesOfFlow, AFlowCountsForItsFirstSender) {
    FlowLimits limits;
    limits.max_per_sender = 1;
    use(limits);
    const auto relay = announcer("fireflyp");
    emit(relay, from(7, start(1)));
    emit(relay, from(8, start(1)));
    emit(relay, from(8, end(1)));
    EXPECT_EQ(emit(relay, from(7, start(2))), FLOWD_OK);
    EXPECT_EQ(emit(relay, from(7, start(3))), FLOWD_LIMIT);
}

class Tags : public InstancesOfFlow {
  protected:
    /// The tag of a flow that was announced with these, in this order.
    struct Said {
        AnnouncerId who;
        flowd_tag tag;
    };
    std::pair<std::uint32_t, std::uint32_t> tag_after(std::initializer_list<Said> said) {
        ++number_;
        for (const Said& one : said) emit(one.who, start(number_, one.tag));
        const auto tag = flow(number_).tag;
        return {tag.experiment, tag.activity};
    }
    using Tag = std::pair<std::uint32_t, std::uint32_t>;
    static constexpr flowd_tag none{0, 0}, unspecific{1, 1}, specific{2, 16}, other{3, 14};

    std::uint32_t number_ = 0;
    AnnouncerId meter_ = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    AnnouncerId rule_ = announcer("netlink", FLOWD_PRECEDENCE_RULE);
    AnnouncerId api_ = announcer("api");
    AnnouncerId pipe_ = announcer("namedpipe");
};

TEST_F(Tags, NoValidTagDoesNotReplaceAValidTagOfARuleOrAnExplicitOne) {
    EXPECT_EQ(tag_after({{rule_, specific}, {api_, none}}), Tag(2, 16));
    EXPECT_EQ(tag_after({{api_, specific}, {pipe_, none}}), Tag(2, 16));
    EXPECT_EQ(tag_after({{api_, specific}, {api_, none}}), Tag(2, 16)) << "from the same announcer";
    EXPECT_EQ(effect("api", Effect::tag_kept), 2u);
}

TEST_F(Tags, NoValidTagReplacesThatOfAMeter) {
    EXPECT_EQ(tag_after({{meter_, specific}, {api_, none}}), Tag(0, 0));
    EXPECT_EQ(tag_after({{meter_, specific}, {rule_, none}}), Tag(0, 0));
    EXPECT_EQ(tag_after({{meter_, specific}, {rule_, none}, {meter_, specific}}), Tag(0, 0));
}

TEST_F(Tags, DefaultDefaultDoesNotReplaceASpecificTagOfTheSamePrecedence) {
    EXPECT_EQ(tag_after({{api_, specific}, {pipe_, unspecific}}), Tag(2, 16));
    EXPECT_EQ(tag_after({{api_, specific}, {api_, unspecific}}), Tag(2, 16));
    EXPECT_EQ(tag_after({{rule_, specific}, {api_, unspecific}}), Tag(1, 1)) << "of a higher one it does";
}

TEST_F(Tags, ALaterValidTagReplacesNoValidTagAndDefaultDefault) {
    EXPECT_EQ(tag_after({{api_, none}, {pipe_, specific}}), Tag(2, 16));
    EXPECT_EQ(tag_after({{api_, none}, {pipe_, unspecific}}), Tag(1, 1));
    EXPECT_EQ(tag_after({{api_, unspecific}, {pipe_, specific}}), Tag(2, 16));
    EXPECT_EQ(tag_after({{rule_, specific}, {api_, none}, {api_, other}}), Tag(3, 14));
    EXPECT_EQ(tag_after({{api_, specific}, {api_, other}}), Tag(3, 14));
    EXPECT_EQ(tag_after({{api_, specific}, {pipe_, other}}), Tag(2, 16)) << "among specific ones the first stays";
}

}  // namespace
}  // namespace flowd::core::test
