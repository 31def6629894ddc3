// SPDX-License-Identifier: Apache-2.0
// Attachments that belong to a flow are repeated with it; the others travel once.
#include "core/flows/kept_attachments.hpp"

#include <algorithm>
#include <array>

#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

flowd_attachment attachment(const char* id, std::string_view bytes) {
    return {sizeof(flowd_attachment), 0, text(id), {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}};
}

class KeptAttachmentsOfFlows : public FlowsTest {
  protected:
    void SetUp() override { api_ = announcer("api"); }
    /// With one attachment to keep and one to forget.
    flowd_event with(flowd_event event, std::string_view note) {
        attachments_ = {attachment(FLOWD_ATTACHMENT_DATAGRAM, "datagram"), attachment("flow/org.example.note/1", note)};
        event.attachments = attachments_.data();
        event.attachment_count = attachments_.size();
        event.attachment_stride = sizeof(flowd_attachment);
        return event;
    }
    static Pairs note(const char* bytes) { return {{"flow/org.example.note/1", bytes}}; }

    AnnouncerId api_;
    std::array<flowd_attachment, 2> attachments_{};
};

TEST_F(KeptAttachmentsOfFlows, AreRepeatedWithTheStart) {
    Backend early(*bus, "early");
    emit(api_, with(start(1), "once"));
    EXPECT_EQ(early.take_all().at(0).attachments.size(), 2u);
    Backend late(*bus, "late");
    const auto told = late.take_all();
    ASSERT_EQ(story(told), "s1");
    EXPECT_EQ(told[0].attachments, note("once"));
}

TEST_F(KeptAttachmentsOfFlows, OfARepeatedStartChangeNothing) {
    emit(api_, with(start(1), "first"));
    emit(api_, start(1));
    emit(api_, with(ongoing(1), "later"));
    Backend late(*bus, "late");
    EXPECT_EQ(late.take_all().at(0).attachments, note("first"));
}

TEST_F(KeptAttachmentsOfFlows, AreFewBytes) {
    const std::string long_note(Bus::max_kept_bytes, 'x');
    EXPECT_EQ(emit(api_, with(start(1), long_note)), FLOWD_INVALID);
    EXPECT_EQ(emit(api_, with(start(1), std::string_view(long_note).substr(100))), FLOWD_OK);
}

TEST_F(KeptAttachmentsOfFlows, AreThoseOfTheLastReTag) {
    emit(api_, with(start(1), "first"));
    emit(api_, with(start(1, {3, 3}), "second"));
    Backend late(*bus, "late");
    EXPECT_EQ(late.take_all().at(0).attachments, note("second"));
}

TEST_F(KeptAttachmentsOfFlows, OfAnEndThatWasMissedAreItsOwn) {
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
    EXPECT_EQ(end_of(1).attachments, Pairs()) << "it brought none";
    EXPECT_EQ(end_of(2).attachments, note("end"));
}

TEST_F(KeptAttachmentsOfFlows, AreNotOfAnEndThatTheCoreMakes) {
    Backend firefly(*bus, "firefly");
    emit(api_, with(start(1), "start"));
    bus->remove_announcer(api_);
    const auto told = firefly.take_all();
    ASSERT_EQ(story(told), "S1 E1");
    EXPECT_EQ(told[1].attachments, Pairs());
}

TEST(KeptAttachments, AreBoundedAltogether) {
    KeptAttachments kept;
    std::vector<std::uint32_t> held;
    const std::string bytes(Bus::max_kept_bytes - 100, 'x');
    const auto hold = [&](std::size_t n) {
        const std::string id = "flow/" + std::to_string(n);
        const std::array<flowd_attachment, 1> one{attachment(id.c_str(), bytes)};
        return kept.hold(one);
    };
    while (held.size() < 1000 && (held.empty() || held.back() != KeptAttachments::none)) held.push_back(hold(held.size()));
    EXPECT_EQ(held.back(), KeptAttachments::none);
    EXPECT_GT(held.size() * bytes.size(), KeptAttachments::max_bytes / 2);
    EXPECT_NE(hold(0), KeptAttachments::none) << "what is there already costs nothing";
    kept.release(held[1]);
    EXPECT_NE(hold(1000), KeptAttachments::none);
}

TEST(KeptAttachments, AreSharedAndGoWithTheirLastHolder) {
    KeptAttachments kept;
    const std::array<flowd_attachment, 2> one{attachment("flow/a/1", "x"), attachment("b/1", "y")};
    const std::array<flowd_attachment, 1> other{attachment("flow/a/1", "z")};
    std::uint32_t first = kept.hold(one), second = kept.hold(one), third = kept.hold(other);
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
    EXPECT_EQ(kept.hold(std::span(one).last(1)), KeptAttachments::none) << "its id does not begin with flow/";
    const std::uint32_t again = kept.hold(one);
    flowd_event event{};
    kept.payload(again)->attach_to(event);
    ASSERT_EQ(event.attachment_count, 1u);
    EXPECT_EQ(text(event.attachments[0].id), "flow/a/1");
}

}  // namespace
}  // namespace flowd::core::test
