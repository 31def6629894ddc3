// SPDX-License-Identifier: Apache-2.0
// Attachments that are kept with a flow are part of each of its events; the others travel once.
#include "core/flows/kept_attachments.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "core/flows/samples.hpp"
#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

using Pairs = std::map<std::string, std::string>;

flowd_attachment attachment(const char* id, std::string_view bytes, std::uint32_t flags = FLOWD_ATTACHMENT_KEEP) {
    return {sizeof(flowd_attachment), flags, text(id), {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}};
}

Pairs of(const Received& received) {
    Pairs out(received.attachments.begin(), received.attachments.end());
    EXPECT_EQ(out.size(), received.attachments.size()) << "an id is there once";
    return out;
}

class KeptAttachmentsOfFlows : public FlowsTest {
  protected:
    void SetUp() override { api_ = announcer("api"); }
    flowd_event with(flowd_event event, std::vector<flowd_attachment> attachments) {
        attachments_ = std::move(attachments);
        event.attachments = attachments_.data();
        event.attachment_count = attachments_.size();
        event.attachment_stride = sizeof(flowd_attachment);
        return event;
    }
    /// With one attachment to keep and one that travels once.
    flowd_event with(flowd_event event, std::string_view note) {
        return with(event, {attachment(FLOWD_ATTACHMENT_DATAGRAM, "datagram", 0), attachment("org.example.note/1", note)});
    }
    static Pairs note(const char* bytes) { return {{"org.example.note/1", bytes}}; }
    void sample(const std::vector<flowd_attachment>& attachments, std::uint32_t flags = 0) {
        flowd_sample one{};
        one.size = sizeof one;
        one.flags = flags;
        bus->find(key_of(1), [&](const flowd_flow& flow) { one.flow_id = flow.flow_id; });
        one.attachments = attachments.data();
        one.attachment_count = attachments.size();
        one.attachment_stride = sizeof(flowd_attachment);
        SamplePeriod period;
        EXPECT_EQ(period.add("dns", &one), FLOWD_OK);
        bus->apply_samples(period);
    }
    [[nodiscard]] std::uint64_t not_kept() const { return bus->counters().attachments_not_kept; }

    AnnouncerId api_;
    std::vector<flowd_attachment> attachments_;
};

TEST_F(KeptAttachmentsOfFlows, ArePartOfTheEndOfAnUnknownFlow) {
    Backend firefly(*bus, "firefly");
    firefly.take_all();
    emit(api_, with(end(1), "once"));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "E1");
    EXPECT_EQ(of(told[0]), Pairs({{FLOWD_ATTACHMENT_DATAGRAM, "datagram"}, {"org.example.note/1", "once"}}));
}

TEST_F(KeptAttachmentsOfFlows, OfASampleAreCopied) {
    Backend firefly(*bus, "firefly");
    emit(api_, start(1));
    firefly.take_all();
    std::string bytes = "before";
    const flowd_attachment note = attachment("org.example.note/1", bytes);
    flowd_sample one{};
    one.size = sizeof one;
    bus->find(key_of(1), [&](const flowd_flow& flow) { one.flow_id = flow.flow_id; });
    one.attachments = &note;
    one.attachment_count = 1;
    one.attachment_stride = sizeof note;
    SamplePeriod period;
    ASSERT_EQ(period.add("dns", &one), FLOWD_OK);
    bytes.replace(0, bytes.size(), "after!");
    bus->apply_samples(period);
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "O1");
    EXPECT_EQ(of(told[0]), Pairs({{"org.example.note/1", "before"}}));
}

TEST_F(KeptAttachmentsOfFlows, OfASampleCountTowardsTheLimit) {
    constexpr std::size_t count = 8;
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < count; ++i) ids.push_back("org.example.note/" + std::to_string(i));
    std::vector<flowd_attachment> notes;
    for (const std::string& id : ids) notes.push_back(attachment(id.c_str(), "x"));
    flowd_sample one{};
    one.size = sizeof one;
    one.flow_id = 1;
    SamplePeriod plain;
    ASSERT_EQ(plain.add("dns", &one), FLOWD_OK);
    one.attachments = notes.data();
    one.attachment_count = notes.size();
    one.attachment_stride = sizeof(flowd_attachment);
    SamplePeriod with_notes;
    ASSERT_EQ(with_notes.add("dns", &one), FLOWD_OK);
    EXPECT_EQ(with_notes.bytes(), plain.bytes() + count * (sizeof(flowd_attachment) + ids[0].size() + 1));
}

TEST_F(KeptAttachmentsOfFlows, ArePartOfEveryLaterEvent) {
    Backend firefly(*bus, "firefly");
    emit(api_, with(start(1), "once"));
    emit(api_, ongoing(1));
    emit(api_, start(1, {3, 3}));
    emit(api_, end(1));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 O1 O1 E1");
    EXPECT_EQ(of(told[0]), Pairs({{FLOWD_ATTACHMENT_DATAGRAM, "datagram"}, {"org.example.note/1", "once"}}));
    for (const std::size_t i : {1, 2, 3}) EXPECT_EQ(of(told[i]), note("once")) << i;
}

TEST_F(KeptAttachmentsOfFlows, AreRepeatedWithTheStart) {
    emit(api_, with(start(1), "once"));
    Backend late(*bus, "late");
    const auto told = late.take_all();
    ASSERT_EQ(story(told), "s1");
    EXPECT_EQ(of(told[0]), note("once"));
}

TEST_F(KeptAttachmentsOfFlows, AreAddedReplacedAndRemovedByAnyEvent) {
    Backend firefly(*bus, "firefly");
    const auto after = [&](const flowd_event& event) {
        emit(api_, event);
        firefly.take_all();
        emit(api_, ongoing(1));
        return of(firefly.take_all().at(0));
    };
    EXPECT_EQ(after(with(start(1), {attachment("a/1", "1")})), Pairs({{"a/1", "1"}}));
    EXPECT_EQ(after(with(start(1), {attachment("b/1", "2")})), Pairs({{"a/1", "1"}, {"b/1", "2"}})) << "a repeated start";
    EXPECT_EQ(after(with(ongoing(1), {attachment("a/1", "3"), attachment("c/1", "4")})),
              Pairs({{"a/1", "3"}, {"b/1", "2"}, {"c/1", "4"}}));
    EXPECT_EQ(after(with(ongoing(1), {attachment("b/1", ""), attachment("d/1", "")})), Pairs({{"a/1", "3"}, {"c/1", "4"}}));
    EXPECT_EQ(after(with(start(1, {3, 3}), {attachment("a/1", ""), attachment("c/1", "")})), Pairs());
    emit(api_, with(end(1), {attachment("e/1", "5")}));
    EXPECT_EQ(of(firefly.take_all().at(0)), Pairs({{"e/1", "5"}}));
}

TEST_F(KeptAttachmentsOfFlows, ARemovalIsNotPassedOn) {
    Backend firefly(*bus, "firefly");
    emit(api_, with(start(1), {attachment("a/1", "1")}));
    emit(api_, with(ongoing(1), {attachment("a/1", "")}));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 O1");
    EXPECT_EQ(of(told[1]), Pairs());
}

TEST_F(KeptAttachmentsOfFlows, AreReplacedByAnAttachmentOfTheEventWithTheSameId) {
    Backend firefly(*bus, "firefly");
    emit(api_, with(start(1), {attachment("a/1", "kept"), attachment("b/1", "too")}));
    emit(api_, with(ongoing(1), {attachment("a/1", "once", 0)}));
    emit(api_, ongoing(1));
    const auto told = firefly.take_all();
    EXPECT_EQ(of(told[1]), Pairs({{"a/1", "once"}, {"b/1", "too"}}));
    EXPECT_EQ(of(told[2]), Pairs({{"a/1", "kept"}, {"b/1", "too"}}));
}

TEST_F(KeptAttachmentsOfFlows, AnEnricherMayAddReplaceAndRemove) {
    Backend firefly(*bus, "firefly");
    emit(api_, with(start(1), {attachment("a/1", "1")}));
    sample({attachment("a/1", "2"), attachment("flowd.json/host", "\"se1\"")});
    sample({attachment("a/1", "")});
    emit(api_, end(1));
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 O1 O1 E1");
    EXPECT_EQ(of(told[1]), Pairs({{"a/1", "2"}, {"flowd.json/host", "\"se1\""}}));
    EXPECT_EQ(told[1].sample_sources.size(), 1u);
    EXPECT_EQ(of(told[3]), Pairs({{"flowd.json/host", "\"se1\""}}));
}

TEST_F(KeptAttachmentsOfFlows, OfASampleMustHaveTheKeepFlag) {
    flowd_sample one{};
    one.size = sizeof one;
    one.flow_id = 1;
    std::array<flowd_attachment, 1> attachments{attachment("a/1", "x", 0)};
    one.attachments = attachments.data();
    one.attachment_count = 1;
    one.attachment_stride = sizeof(flowd_attachment);
    SamplePeriod period;
    EXPECT_EQ(period.add("dns", &one), FLOWD_INVALID);
    attachments[0].flags = 0x80;
    EXPECT_EQ(period.add("dns", &one), FLOWD_INVALID);
    attachments[0] = attachment("", "x");
    EXPECT_EQ(period.add("dns", &one), FLOWD_INVALID);
    EXPECT_EQ(period.invalid(), 3u);
}

TEST_F(KeptAttachmentsOfFlows, ArePartOfAnEndMadeByTheCore) {
    Backend firefly(*bus, "firefly");
    emit(api_, with(start(1), "start"));
    emit(api_, with(start(2), "start"));
    sample({attachment("b/1", "2")}, FLOWD_SAMPLE_GONE);
    bus->remove_announcer(api_);
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 S2 E1 E2");
    EXPECT_EQ(of(told[2]), Pairs({{"org.example.note/1", "start"}, {"b/1", "2"}}));
    EXPECT_EQ(of(told[3]), note("start"));
}

TEST_F(KeptAttachmentsOfFlows, OfAMissedEndAreRepeated) {
    Backend slow(*bus, "slow", all_kinds, {.events = 1, .stall_after_ns = second_ns});
    emit(api_, with(start(1), "start"));
    pass(2);
    EXPECT_EQ(emit(api_, with(start(2), "start")), FLOWD_OK) << "it stalls, and is owed what it misses";
    EXPECT_EQ(emit(api_, with(end(2), "end")), FLOWD_OK);
    EXPECT_EQ(emit(api_, end(1)), FLOWD_OK);
    const std::vector<Received> told = slow.take_all();
    ASSERT_EQ(told.size(), 4u) << story(told);
    const auto end_of = [&](std::uint32_t number) {
        return *std::find_if(told.begin(), told.end(), [&](const auto& one) { return one.is(FLOWD_EVENT_END, number); });
    };
    EXPECT_EQ(of(end_of(1)), note("start"));
    EXPECT_EQ(of(end_of(2)), note("end"));
}

TEST_F(KeptAttachmentsOfFlows, OfAFlowAreLimitedTo16KiBAndTheExcessIsCounted) {
    Backend firefly(*bus, "firefly");
    const std::string half(8 * 1024, 'x');
    emit(api_, with(start(1), {attachment("a/1", half), attachment("b/1", half), attachment("c/1", "small")}));
    EXPECT_EQ(not_kept(), 1u) << "with their ids the first two are too much";
    EXPECT_EQ(of(firefly.take_all().at(0)).size(), 3u) << "the event itself brings it";
    emit(api_, ongoing(1));
    EXPECT_EQ(of(firefly.take_all().at(0)), Pairs({{"a/1", half}, {"c/1", "small"}}));
    emit(api_, with(ongoing(1), {attachment("a/1", "less"), attachment("b/1", half)}));
    emit(api_, ongoing(1));
    EXPECT_EQ(of(firefly.take_all().at(1)), Pairs({{"a/1", "less"}, {"b/1", half}, {"c/1", "small"}}));
    EXPECT_EQ(not_kept(), 1u);
    std::vector<std::string> ids;
    std::vector<flowd_attachment> many;
    for (std::size_t i = 0; i < Bus::max_attachments; ++i) ids.push_back(std::to_string(i) + "/1");
    for (const std::string& id : ids) many.push_back(attachment(id.c_str(), "x"));
    emit(api_, with(ongoing(1), many));
    EXPECT_EQ(not_kept(), 1u + 3u) << "64 of them";
}

TEST_F(KeptAttachmentsOfFlows, AreLimitedInTotalAndTheExcessIsCounted) {
    const std::string bytes(KeptAttachments::max_bytes_of_flow - 100, 'x');
    constexpr std::uint32_t flows = 3000;  // 32 shards of 1 MiB have room for some 2000
    for (std::uint32_t i = 0; i < flows; ++i) {
        const std::string id = std::to_string(i);
        ASSERT_EQ(emit(api_, with(start(i), {attachment(id.c_str(), bytes)})), FLOWD_OK);
    }
    EXPECT_GT(not_kept(), 500u);
    EXPECT_LT(not_kept(), 2000u);
    for (std::uint32_t i = 0; i < flows; ++i) emit(api_, end(i));
    pass(10);
    const auto before = not_kept();
    emit(api_, with(start(1), {attachment("again", bytes)}));
    EXPECT_EQ(not_kept(), before);
}

TEST(KeptAttachments, AreLimitedInTotal) {
    KeptAttachments kept;
    std::vector<std::uint32_t> held;
    const std::string bytes(KeptAttachments::max_bytes_of_flow - 100, 'x');
    std::uint64_t not_kept = 0;
    const auto hold = [&](std::size_t n) {
        const std::string id = std::to_string(n);
        const std::array<flowd_attachment, 1> one{attachment(id.c_str(), bytes)};
        return kept.change(KeptAttachments::none, one, not_kept);
    };
    while (held.size() < 1000 && (held.empty() || held.back() != KeptAttachments::none)) held.push_back(hold(held.size()));
    EXPECT_EQ(held.back(), KeptAttachments::none);
    EXPECT_EQ(not_kept, 1u);
    EXPECT_GT(held.size() * bytes.size(), KeptAttachments::max_bytes / 2);
    EXPECT_NE(hold(0), KeptAttachments::none) << "what is there already costs nothing";
    kept.release(held[1]);
    EXPECT_NE(hold(1000), KeptAttachments::none);
}

TEST(KeptAttachments, AreSharedAndFreedWithTheirLastHolder) {
    KeptAttachments kept;
    std::uint64_t not_kept = 0;
    const std::array<flowd_attachment, 2> one{attachment("a/1", "x"), attachment("b/1", "y", 0)};
    const std::array<flowd_attachment, 1> other{attachment("a/1", "z")};
    const auto hold = [&](std::span<const flowd_attachment> set) {
        return kept.change(KeptAttachments::none, set, not_kept);
    };
    std::uint32_t first = hold(one), second = hold(one), third = hold(other);
    EXPECT_EQ(first, second);
    EXPECT_NE(first, third);
    EXPECT_EQ(kept.size(), 2u);
    kept.release(first);
    EXPECT_EQ(first, KeptAttachments::none);
    EXPECT_EQ(kept.size(), 2u) << "the second still holds it";
    kept.release(second);
    kept.release(third);
    kept.release(third);
    EXPECT_EQ(kept.size(), 0u);
    EXPECT_EQ(hold(std::span(one).last(1)), KeptAttachments::none) << "it is not to be kept";
    const std::uint32_t again = hold(one);
    flowd_event event{};
    kept.payload(again)->attach_to(event);
    ASSERT_EQ(event.attachment_count, 1u);
    EXPECT_EQ(text(event.attachments[0].id), "a/1");
}

}  // namespace
}  // namespace flowd::core::test
