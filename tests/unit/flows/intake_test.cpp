// SPDX-License-Identifier: Apache-2.0
// What plugins offer is checked, copied, and refused with a reason.
#include <sys/stat.h>

#include <array>
#include <cstring>

#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

using Intake = FlowsTest;

TEST_F(Intake, MalformedEventsAreRefusedAndCountedByReason) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    const auto refuse = [&](Refusal reason, const flowd_event& event) {
        const auto before = refused("api", reason);
        EXPECT_EQ(emit(api, event), FLOWD_INVALID) << name_of(reason);
        EXPECT_EQ(refused("api", reason), before + 1) << name_of(reason);
    };
    auto event = start(1);
    event.size = 12;
    refuse(Refusal::bad_size, event);
    event = start(1);
    event.size = sizeof event + 8;  // beyond its stride
    refuse(Refusal::bad_size, event);
    event = start(1);
    event.kind = 0;
    refuse(Refusal::bad_kind, event);
    event.kind = 77;
    refuse(Refusal::bad_kind, event);
    event = start(1);
    event.key.protocol = 0;
    refuse(Refusal::bad_protocol, event);
    event = start(1);
    std::memset(event.key.source, 0, 16);
    std::memset(event.key.destination, 0, 16);
    refuse(Refusal::bad_address, event);
    event = start(1);
    event.reserved[1] = 1;
    refuse(Refusal::bad_reserved, event);
    event = start(1);
    event.key.reserved[2] = 1;
    refuse(Refusal::bad_reserved, event);
    event = start(1);
    event.start_time_ns = -1;
    refuse(Refusal::bad_times, event);
    event = start(1);
    event.local = 5;
    refuse(Refusal::bad_enum, event);
    event = start(1);
    event.initiator = 3;
    refuse(Refusal::bad_enum, event);
    event = start(1);
    event.application = {nullptr, 3};
    refuse(Refusal::bad_text, event);
    event = start(1);
    event.rule = {nullptr, 3};
    refuse(Refusal::bad_text, event);
    EXPECT_TRUE(firefly.take_all().empty());
    EXPECT_EQ(bus->count(), 0u);
}

TEST_F(Intake, AttachmentsAreChecked) {
    const auto api = announcer("api");
    const std::string bytes = "x";
    flowd_attachment good{};
    good.size = sizeof good;
    good.id = text("flowd.datagram/1");
    good.bytes = {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
    const auto with = [](const flowd_attachment* attachments, std::size_t count) {
        auto event = start(1);
        event.attachments = attachments;
        event.attachment_count = count;
        event.attachment_stride = sizeof *attachments;
        return event;
    };
    std::array<flowd_attachment, Bus::max_attachments + 1> many{};
    many.fill(good);
    EXPECT_EQ(emit(api, with(many.data(), many.size())), FLOWD_INVALID);
    EXPECT_EQ(emit(api, with(nullptr, 1)), FLOWD_INVALID);
    auto bad = good;
    bad.id = {};
    EXPECT_EQ(emit(api, with(&bad, 1)), FLOWD_INVALID);
    bad = good;
    bad.bytes = {nullptr, 1};
    EXPECT_EQ(emit(api, with(&bad, 1)), FLOWD_INVALID);
    bad = good;
    bad.bytes.length = Bus::max_attachment_bytes + 1;
    EXPECT_EQ(emit(api, with(&bad, 1)), FLOWD_INVALID);
    EXPECT_EQ(refused("api", Refusal::bad_attachments), 5u);
    const std::string half(Bus::max_attachment_bytes / 2 - good.id.length, 'x');
    std::array<flowd_attachment, 2> halves{good, good};
    for (flowd_attachment& one : halves) one.bytes = {reinterpret_cast<const std::uint8_t*>(half.data()), half.size()};
    halves[0].id = text("flowd.datagram/2");
    EXPECT_EQ(emit(api, with(halves.data(), 2)), FLOWD_OK);
    halves[0].id = text("flowd.datagram/10");
    EXPECT_EQ(emit(api, with(halves.data(), 2)), FLOWD_INVALID) << "one byte more than an event may have";
    EXPECT_EQ(refused("api", Refusal::bad_attachments), 6u);
    bad = good;
    bad.size = 8;
    EXPECT_EQ(emit(api, with(&bad, 1)), FLOWD_INVALID);
    EXPECT_EQ(refused("api", Refusal::bad_size), 1u);
    EXPECT_EQ(emit(api, with(many.data(), Bus::max_attachments)), FLOWD_OK);
}

TEST_F(Intake, AModuleOfAnOlderMinorHasAShorterEvent) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    constexpr std::size_t old_size = offsetof(flowd_event, time_ns);
    std::array<flowd_event, 2> full{start(1), start(2)};
    std::vector<std::byte> packed(old_size * 2);
    for (std::size_t i = 0; i < 2; ++i) {
        full[i].size = old_size;
        std::memcpy(packed.data() + i * old_size, &full[i], old_size);
    }
    std::size_t accepted = 0;
    EXPECT_EQ(bus->emit(api, reinterpret_cast<const flowd_event*>(packed.data()), 2, old_size, &accepted), FLOWD_OK);
    EXPECT_EQ(accepted, 2u);
    EXPECT_EQ(story(firefly.take_all()), "S1 S2");
}

TEST_F(Intake, AModuleOfANewerMinorHasALongerEvent) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    struct Newer {
        flowd_event known;
        std::uint64_t unknown[4];
    };
    std::array<Newer, 2> events{Newer{start(1), {7, 7, 7, 7}}, Newer{start(2), {7, 7, 7, 7}}};
    for (auto& event : events) event.known.size = sizeof(Newer);
    std::size_t accepted = 0;
    EXPECT_EQ(bus->emit(api, &events[0].known, 2, sizeof(Newer), &accepted), FLOWD_OK);
    const auto told = firefly.take_all();
    EXPECT_EQ(story(told), "S1 S2");
    EXPECT_EQ(told[0].event.size, sizeof(flowd_event));
}

TEST_F(Intake, FlagsOfTheCoreAndUnknownOnesAreRefused) {
    const auto api = announcer("api");
    for (const std::uint32_t flag : {std::uint32_t{FLOWD_RETAGGED}, std::uint32_t{FLOWD_RESYNC},
                                     std::uint32_t{FLOWD_NO_START}, std::uint32_t{FLOWD_SAMPLED}, 1u << 3, 1u << 31}) {
        auto event = start(1);
        event.flags = FLOWD_LEARNT_REMOTELY | flag;
        EXPECT_EQ(emit(api, event), FLOWD_INVALID) << flag;
    }
    EXPECT_EQ(refused("api", Refusal::bad_flags), 6u);
}

TEST_F(Intake, UnknownBitsOfUsageAreRefused) {
    const auto api = announcer("api");
    auto event = start(1);
    event.usage.known = FLOWD_USAGE_BYTES | 1u << 2;
    EXPECT_EQ(emit(api, event), FLOWD_INVALID);
    EXPECT_EQ(refused("api", Refusal::bad_flags), 1u);
}

TEST_F(Intake, EndReasonsThatAPluginMayNotSetAreRefused) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    const auto ended = [&](std::uint32_t reason) {
        emit(api, start(1));
        auto event = end(1);
        event.end_reason = reason;
        const flowd_result result = emit(api, event);
        const auto told = firefly.take_all();
        return result == FLOWD_OK ? static_cast<int>(told.back().event.end_reason) : static_cast<int>(result);
    };
    EXPECT_EQ(ended(FLOWD_END_UNKNOWN), FLOWD_END_ANNOUNCED);
    for (const int reason : {FLOWD_END_ANNOUNCED, FLOWD_END_IDLE, FLOWD_END_SOCKET_GONE, FLOWD_END_WITHDRAWN})
        EXPECT_EQ(ended(static_cast<std::uint32_t>(reason)), reason);
    for (const std::uint32_t reason : {std::uint32_t{FLOWD_END_AGE}, std::uint32_t{FLOWD_END_SAMPLE_GONE}, 7u, ~0u})
        EXPECT_EQ(ended(reason), FLOWD_INVALID) << reason;
    auto not_an_end = start(2);
    not_an_end.end_reason = FLOWD_END_ANNOUNCED;
    EXPECT_EQ(emit(api, not_an_end), FLOWD_INVALID);
    EXPECT_EQ(refused("api", Refusal::bad_enum), 5u);
}

TEST_F(Intake, TooLongTextsAreTruncatedAtACharacter) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    const auto seen = [&](const std::string& application, const std::string& rule) {
        auto event = start(1);
        event.application = text(application);
        event.rule = text(rule);
        EXPECT_EQ(emit(api, event), FLOWD_OK);
        EXPECT_EQ(emit(api, end(1)), FLOWD_OK);
        const auto told = firefly.take_all();
        return std::pair(told.at(0).application, told.at(0).rule);
    };
    const std::string letters(300, 'a');
    EXPECT_EQ(seen(letters, letters), std::pair(letters.substr(0, 256), letters.substr(0, 64)));
    const std::string fits = letters.substr(0, 254) + "\u00e9";
    EXPECT_EQ(seen(fits, "").first, fits);
    EXPECT_EQ(seen(letters.substr(0, 255) + "\u00e9", "").first, letters.substr(0, 255));
    EXPECT_EQ(seen("", letters.substr(0, 61) + "\U0001f600").second, letters.substr(0, 61));
    EXPECT_EQ(seen(std::string(300, '\x80'), "").first.size(), 256u) << "no UTF-8 at all";
}

TEST_F(Intake, ACatchAllWithMembersOfAFlowIsRefused) {
    const auto meter = announcer("perfsonar", FLOWD_PRECEDENCE_METER);
    flowd_event good{};
    good.size = sizeof good;
    good.tag = {14, 2};
    good.time_ns = epoch_ns;
    good.application = text("perfsonar");
    const std::string bytes = "x";
    flowd_attachment attachment{};
    attachment.size = sizeof attachment;
    attachment.id = text("a/1");
    attachment.bytes = {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
    std::uint64_t expected = 0;
    for (const std::uint32_t kind : {std::uint32_t{FLOWD_EVENT_CATCH_ALL}, std::uint32_t{FLOWD_EVENT_CATCH_ALL_CLEAR}}) {
        good.kind = kind;
        EXPECT_EQ(emit(meter, good), FLOWD_OK);
        std::array<flowd_event, 8> bad;
        bad.fill(good);
        bad[0].key = key_of(1);
        bad[1].key.zone = 1;
        bad[2].usage.bytes_sent = 1;
        bad[3].usage.known = FLOWD_USAGE_BYTES;
        bad[4].rule = text("rules[0]");
        bad[5].start_time_ns = 1;
        bad[6].end_time_ns = 1;
        bad[7].attachments = &attachment;
        bad[7].attachment_count = 1;
        bad[7].attachment_stride = sizeof attachment;
        for (const auto& event : bad) EXPECT_EQ(emit(meter, event), FLOWD_INVALID);
        expected += bad.size();
    }
    EXPECT_EQ(refused("perfsonar", Refusal::bad_catch_all), expected);
}

TEST_F(Intake, AZoneIsPartOfALinkLocalKeyAndOfNoOther) {
    const auto api = announcer("api");
    const auto with_zone = [](const char* source, const char* destination, std::uint32_t zone) {
        auto event = start(1);
        event.key = make_key({*Address::parse(source), 1}, {*Address::parse(destination), 2}, 17);
        event.key.zone = zone;
        return event;
    };
    for (const auto& [source, destination] :
         {std::pair("fe80::1", "fe80::2"), std::pair("fe80::1", "ff02::1"), std::pair("2001:db8::1", "febf::1")}) {
        const auto before = bus->count();
        for (const std::uint32_t zone : {0u, 3u, 4u}) EXPECT_EQ(emit(api, with_zone(source, destination, zone)), FLOWD_OK);
        EXPECT_EQ(bus->count(), before + 3) << source << " " << destination;
    }
    for (const auto& [source, destination] : {std::pair("2001:db8::1", "2001:db8::2"), std::pair("192.0.2.1", "192.0.2.2"),
                                              std::pair("2001:db8::1", "ff05::2"), std::pair("fec0::1", "::1")}) {
        const auto before = bus->count();
        for (const std::uint32_t zone : {0u, 3u, 4u}) EXPECT_EQ(emit(api, with_zone(source, destination, zone)), FLOWD_OK);
        EXPECT_EQ(bus->count(), before + 1) << source << " " << destination;
        const auto any = with_zone(source, destination, 99);
        EXPECT_TRUE(bus->find(any.key, [](const flowd_flow& flow) { EXPECT_EQ(flow.key.zone, 0u); }));
    }
}

TEST_F(Intake, TheDaemonsOwnNamespaceIsScopeZero) {
    const auto api = announcer("api");
    struct stat status {};
    ASSERT_EQ(stat("/proc/self/ns/net", &status), 0);
    auto named = start(1);
    named.key.scope = static_cast<std::uint32_t>(status.st_ino);
    emit(api, named);
    emit(api, start(1));
    EXPECT_EQ(bus->count(), 1u);
    EXPECT_TRUE(bus->find(named.key, [](const flowd_flow& flow) { EXPECT_EQ(flow.key.scope, 0u); }));
    named.key.scope = 1;
    emit(api, named);
    EXPECT_EQ(bus->count(), 2u);
}

TEST_F(Intake, MembersSetOnlyByTheCoreAreIgnored) {
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    flowd_sample sample{};
    auto event = start(1);
    event.flags = FLOWD_LEARNT_REMOTELY;
    event.precedence = 255;
    event.announcer = text("somebody else");
    event.samples = &sample;
    event.sample_count = 1;
    emit(api, event);
    const auto told = firefly.take_all();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].event.flags, std::uint32_t{FLOWD_LEARNT_REMOTELY | FLOWD_NOT_TO_PEER});
    EXPECT_EQ(told[0].event.precedence, std::uint32_t{FLOWD_PRECEDENCE_EXPLICIT});
    EXPECT_EQ(told[0].announcer, "api");
    EXPECT_TRUE(told[0].sample_sources.empty());
}

TEST_F(Intake, EmittingContinuesAfterAnInvalidEvent) {
    const auto api = announcer("api");
    std::array<flowd_event, 3> events{start(1), start(2), start(3)};
    events[1].key.protocol = 0;
    std::size_t accepted = 0;
    EXPECT_EQ(bus->emit(api, events.data(), 3, sizeof(flowd_event), &accepted), FLOWD_INVALID);
    EXPECT_EQ(accepted, 1u);
    EXPECT_EQ(bus->emit(api, events.data() + 2, 1, sizeof(flowd_event), &accepted), FLOWD_OK);
    EXPECT_EQ(bus->count(), 2u);
}

TEST_F(Intake, NullAndEmptyBatchesAreAccepted) {
    const auto api = announcer("api");
    std::size_t accepted = 9;
    EXPECT_EQ(bus->emit(api, nullptr, 0, 0, &accepted), FLOWD_OK);
    EXPECT_EQ(accepted, 0u);
    EXPECT_EQ(bus->emit(api, nullptr, 3, sizeof(flowd_event), &accepted), FLOWD_INVALID);
    const auto event = start(1);
    EXPECT_EQ(bus->emit(api, &event, 1, 0, nullptr), FLOWD_INVALID);
    EXPECT_EQ(bus->emit(api, &event, 1, sizeof event, nullptr), FLOWD_OK);
    EXPECT_EQ(bus->emit({}, &event, 1, sizeof event, &accepted), FLOWD_STOPPED);
}

TEST_F(Intake, PortZeroIsAccepted) {
    const auto api = announcer("api");
    auto event = start(0);
    event.key.source_port = 0;
    EXPECT_EQ(emit(api, event), FLOWD_OK);
}

using Caps = FlowsTest;

TEST_F(Caps, LiveFlowsAreLimitedInTotal) {
    FlowLimits limits;
    limits.max_live = 3;
    use(limits);
    const auto api = announcer("api");
    const auto pipe = announcer("namedpipe");
    emit(api, start(1));
    emit(api, start(2));
    emit(api, start(3));
    EXPECT_EQ(emit(pipe, start(4)), FLOWD_LIMIT);
    EXPECT_EQ(emit(pipe, start(3)), FLOWD_OK) << "no new flow";
    EXPECT_EQ(refused("namedpipe", Refusal::limit_live), 1u);
    emit(api, end(1));
    EXPECT_EQ(emit(pipe, start(4)), FLOWD_OK);
    EXPECT_EQ(bus->count(), 3u);
}

TEST_F(Caps, LiveFlowsAreLimitedPerInstance) {
    FlowLimits limits;
    limits.max_per_instance = 2;
    use(limits);
    const auto pipe = announcer("namedpipe");
    const auto api = announcer("api", FLOWD_PRECEDENCE_EXPLICIT, 3);
    for (std::uint32_t i = 1; i <= 2; ++i) EXPECT_EQ(emit(pipe, start(i)), FLOWD_OK);
    EXPECT_EQ(emit(pipe, start(3)), FLOWD_LIMIT);
    for (std::uint32_t i = 11; i <= 13; ++i) EXPECT_EQ(emit(api, start(i)), FLOWD_OK) << "it has a cap of its own";
    EXPECT_EQ(emit(api, start(14)), FLOWD_LIMIT);
    EXPECT_EQ(refused("namedpipe", Refusal::limit_instance), 1u);
    emit(pipe, end(1));
    EXPECT_EQ(emit(pipe, start(3)), FLOWD_OK);
}

TEST_F(Caps, LiveFlowsAreLimitedPerSender) {
    FlowLimits limits;
    limits.max_per_sender = 1;
    use(limits);
    const auto relay = announcer("fireflyp");
    const auto from = [](std::uint32_t number, std::uint64_t sender) {
        auto event = start(number);
        event.sender = sender;
        return event;
    };
    EXPECT_EQ(emit(relay, from(1, 7)), FLOWD_OK);
    EXPECT_EQ(emit(relay, from(2, 7)), FLOWD_LIMIT);
    EXPECT_EQ(emit(relay, from(2, 8)), FLOWD_OK);
    EXPECT_EQ(emit(relay, from(3, 0)), FLOWD_OK) << "nobody";
    EXPECT_EQ(emit(relay, from(4, 0)), FLOWD_OK);
    EXPECT_EQ(refused("fireflyp", Refusal::limit_sender), 1u);
    emit(relay, end(1));
    EXPECT_EQ(emit(relay, from(5, 7)), FLOWD_OK);
}

TEST_F(Caps, ReachingALimitDoesNotAffectTheQueues) {
    FlowLimits limits;
    limits.max_live = 1;
    use(limits);
    const auto api = announcer("api");
    Backend firefly(*bus, "firefly");
    emit(api, start(1));
    emit(api, start(2));
    EXPECT_EQ(story(firefly.take_all()), "S1");
}

TEST_F(Caps, EndedFlowsKeptForAStalledBackendAreEvictedForLiveFlowsAndCounted) {
    FlowLimits limits;
    limits.max_live = 64;
    use(limits);
    const auto api = announcer("api");
    QueueLimits one;
    one.events = 1;
    Backend slow(*bus, "slow", all_kinds, one);
    emit(api, start(0));
    pass(11);
    for (std::uint32_t i = 1; i <= 2000; ++i) {
        ASSERT_EQ(emit(api, start(i)), FLOWD_OK);
        ASSERT_EQ(emit(api, end(i)), FLOWD_OK);
    }
    const auto given_up = backend_counters("slow").given_up;
    EXPECT_GT(given_up, 1800u);
    EXPECT_LE(bus->counters().ended_kept, 64u + 32u);
    const auto told = slow.take_all();
    EXPECT_EQ(told.size(), 1 + 2 * (2000 - given_up)) << "what was not given up came whole";
}

TEST_F(Caps, TombstonesAreRemovedEarlyOnlyIfTheTableIsFull) {
    FlowLimits limits;
    limits.max_live = 1024;
    use(limits);
    const auto api = announcer("api");
    for (std::uint32_t i = 1; i <= 1024; ++i) ASSERT_EQ(emit(api, end(i)), FLOWD_OK);
    EXPECT_EQ(bus->counters().ended_kept, 1024u);
    EXPECT_EQ(bus->counters().tombstones_cut_short, 0u);
    ASSERT_EQ(emit(api, end(1025)), FLOWD_OK);
    EXPECT_EQ(bus->counters().ended_kept, 1024u);
    EXPECT_EQ(bus->counters().tombstones_cut_short, 1u);
}

TEST_F(Caps, OneKeyThatIsUsedAgainAndAgainCannotFillTheMemory) {
    FlowLimits limits;
    limits.max_live = 64;
    use(limits);
    const auto api = announcer("api");
    for (std::uint32_t i = 0; i < 50'000; ++i) {
        ASSERT_EQ(emit(api, start(1)), FLOWD_OK);
        ASSERT_EQ(emit(api, end(1)), FLOWD_OK);
    }
    EXPECT_LT(bus->counters().table_bytes, 200'000u);
    EXPECT_EQ(bus->counters().ended_kept, 1u);
    EXPECT_EQ(bus->counters().tombstones_cut_short, 0u);
    EXPECT_EQ(emit(api, end(1)), FLOWD_OK);
    EXPECT_EQ(effect("api", Effect::double_end), 1u);
}

TEST_F(Caps, EndsOfUnknownFlowsCannotFillTheTable) {
    FlowLimits limits;
    limits.max_live = 64;
    use(limits);
    const auto api = announcer("api");
    for (std::uint32_t i = 1; i <= 5000; ++i) ASSERT_EQ(emit(api, end(i)), FLOWD_OK);
    EXPECT_LE(bus->counters().ended_kept, 64u + 32u);
    EXPECT_GT(bus->counters().tombstones_cut_short, 4000u);
    EXPECT_EQ(emit(api, start(1)), FLOWD_OK);
}

}  // namespace
}  // namespace flowd::core::test
