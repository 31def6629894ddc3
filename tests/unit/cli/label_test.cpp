// SPDX-License-Identifier: Apache-2.0
#include "core/cli/label.hpp"

#include <gmock/gmock.h>
#include <simdjson.h>

#include <set>
#include <tuple>

namespace flowd::core::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Registry registry() {
    auto parsed = Registry::parse(R"({"experiments":[
        {"expName":"atlas","expId":2,"activities":[{"activityName":"production","activityId":16}]},
        {"expName":"cms","expId":3,"activities":[{"activityName":"production","activityId":14}]}],
        "version":1,"modified":"2024-01-01T00:00:00Z"})");
    EXPECT_TRUE(parsed.ok());
    return parsed.ok() ? *parsed : Registry{};
}

/// A member of the answer as JSON text; empty when it is not there.
std::string member(const Result<std::string>& answer, const char* key) {
    EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : answer.error().message);
    if (!answer) return {};
    simdjson::dom::parser parser;
    simdjson::dom::element value;
    if (parser.parse(*answer)[key].get(value) != simdjson::SUCCESS) return {};
    return simdjson::minify(value);
}

/// draft-cc-v6ops-wlcg-flow-label-marking-03: tags and their labels without entropy.
class LabelVectors : public testing::TestWithParam<std::tuple<const char*, const char*, const char*>> {};

TEST_P(LabelVectors, AreEncodedAndDecoded) {
    const auto& [experiment, activity, label] = GetParam();
    EXPECT_EQ(member(encode_label(experiment, activity, false, {}), "label"), "\"" + std::string(label) + "\"");
    const auto decoded = decode_label(label, false, {});
    EXPECT_EQ(member(decoded, "experiment"), experiment);
    EXPECT_EQ(member(decoded, "activity"), activity);
    EXPECT_EQ(member(decoded, "entropy"), "\"0x00000\"");
}

INSTANTIATE_TEST_SUITE_P(Draft, LabelVectors,
                         testing::Values(std::tuple{"1", "1", "0x20004"}, std::tuple{"1", "2", "0x20008"},
                                         std::tuple{"2", "2", "0x10008"}, std::tuple{"2", "16", "0x10040"},
                                         std::tuple{"3", "14", "0x30038"}, std::tuple{"3", "24", "0x30060"},
                                         std::tuple{"5", "10", "0x28028"}, std::tuple{"14", "1", "0x1c004"},
                                         std::tuple{"511", "63", "0x3fefc"}));

TEST(Label, TakesNamesOfTheRegistry) {
    const auto encoded = encode_label("CMS", "Production", false, registry());
    EXPECT_EQ(member(encoded, "label"), "\"0x30038\"");
    EXPECT_EQ(member(encoded, "labelDecimal"), "196664");
    EXPECT_EQ(member(encoded, "scitag"), "206");
    EXPECT_EQ(member(encoded, "experimentName"), "\"cms\"");
    EXPECT_EQ(member(encoded, "activityName"), "\"production\"");
}

TEST(Label, NamesTheNearestForAnUnknownName) {
    const auto encoded = encode_label("atlsa", "production", false, registry());
    ASSERT_FALSE(encoded.ok());
    EXPECT_THAT(encoded.error().message, HasSubstr("\"atlsa\""));
    EXPECT_THAT(encoded.error().hint, HasSubstr("\"atlas\""));
}

TEST(Label, RefusesATagThatDoesNotFitTheLabel) {
    EXPECT_FALSE(encode_label("512", "1", false, {}).ok());
    EXPECT_FALSE(encode_label("1", "64", false, {}).ok());
    EXPECT_FALSE(encode_label("4294967297", "1", false, {}).ok());
    EXPECT_FALSE(encode_label("-1", "1", false, {}).ok());
    EXPECT_FALSE(encode_label("3x", "1", false, {}).ok());
}

TEST(Label, ListsAllLabelsOfATag) {
    const auto encoded = encode_label("3", "14", true, {});
    ASSERT_TRUE(encoded.ok());
    simdjson::dom::parser parser;
    std::set<std::string> labels;
    for (const auto label : parser.parse(*encoded)["labels"].get_array())
        labels.insert(std::string(label.get_string().value()));
    EXPECT_EQ(labels.size(), 32u);
    EXPECT_TRUE(labels.count("0x30038"));
    EXPECT_TRUE(labels.count("0xf013b"));
    for (const std::string& label : labels) {
        EXPECT_EQ(member(decode_label(label, false, {}), "scitag"), "206") << label;
    }
}

TEST(Label, ShowsTheEntropyBitsOfALabel) {
    const auto decoded = decode_label("0xf013b", false, registry());
    EXPECT_EQ(member(decoded, "entropy"), "\"0xc0103\"");
    EXPECT_EQ(member(decoded, "experimentName"), "\"cms\"");
    EXPECT_EQ(member(decoded, "hint"), "");
}

TEST(Label, SuggestsAScitagForAValueThatIsRegisteredOnlyAsOne) {
    EXPECT_THAT(member(decode_label("206", false, registry()), "hint"), HasSubstr("its label is 0x30038"));
}

TEST(Label, ShowsTheScitagOfALabel) {
    const auto decoded = decode_label("196664", true, registry());
    ASSERT_FALSE(decoded.ok());
    EXPECT_THAT(decoded.error().hint, HasSubstr("looks like a label, the scitag is 206"));
}

TEST(Label, DecodesScitagsFromTheSmallestValidOne) {
    EXPECT_EQ(member(decode_label("206", true, registry()), "label"), "\"0x30038\"");
    const auto dcache = decode_label("64", true, registry());  // dCache sends experiment 1 without an activity
    EXPECT_EQ(member(dcache, "experiment"), "1");
    EXPECT_EQ(member(dcache, "activity"), "0");
    const auto beyond = decode_label("65535", true, registry());
    EXPECT_EQ(member(beyond, "experiment"), "1023");
    EXPECT_EQ(member(beyond, "label"), "");
    EXPECT_THAT(member(beyond, "hint"), HasSubstr("does not fit"));
}

TEST(Label, RefusesMoreThanTwentyBitsAndTextThatIsNotANumber) {
    EXPECT_FALSE(decode_label("0x100000", false, {}).ok());
    EXPECT_FALSE(decode_label("0x", false, {}).ok());
    EXPECT_FALSE(decode_label("", false, {}).ok());
    EXPECT_FALSE(decode_label("12 ", false, {}).ok());
}

TEST(Label, OfAnUnregisteredTagIsNotShownAsAnExperiment) {
    for (const char* automatic : {"0x7a1b2", "0xc8f13", "0x12345"}) {
        const auto decoded = decode_label(automatic, false, registry());
        for (const char* key : {"experiment", "experimentName", "activity", "activityName", "scitag"})
            EXPECT_EQ(member(decoded, key), "") << automatic << " " << key;
        EXPECT_EQ(member(decoded, "registered"), "false");
        EXPECT_THAT(member(decoded, "hint"), HasSubstr("not in the registry: probably not a SciTag"));
        EXPECT_THAT(*label_line(automatic, false, registry()), HasSubstr("probably not a SciTag"));
    }
    EXPECT_EQ(member(decode_label("0x30038", false, registry()), "registered"), "true");
    EXPECT_EQ(member(decode_label("0x7a1b2", false, {}), "registered"), "") << "without a registry nothing is known";
    EXPECT_NE(member(decode_label("0x7a1b2", false, {}), "experiment"), "");
}

TEST(Label, ZeroIsNoTag) {
    EXPECT_THAT(member(decode_label("0", false, registry()), "hint"), HasSubstr("the packet is not marked"));
    EXPECT_THAT(member(decode_label("0xc0103", false, registry()), "hint"), HasSubstr("no valid tag"));
    EXPECT_EQ(member(decode_label("0", false, registry()), "experiment"), "");
}

TEST(Label, SuspectsAScitagWhoseActivityIsNotRegistered) {
    // 249 is experiment 3, activity 57.
    EXPECT_THAT(member(decode_label("249", false, registry()), "hint"),
                HasSubstr("looks like a scitag that is not in the registry: experiment cms (3), activity 57"));
    EXPECT_EQ(member(decode_label("249", true, registry()), "hint"), "\"not in the registry\"");
}

TEST(Label, IsOneLineAmongSeveral) {
    EXPECT_EQ(*label_line("0xf013b", false, registry()), "0xf013b  experiment cms (3), activity production (14)");
    EXPECT_EQ(*label_line("206", true, registry()), "206  experiment cms (3), activity production (14)");
    EXPECT_FALSE(label_line("0x100000", false, registry()).ok());
}

TEST(LabelsIn, FindsWhatOtherToolsPrint) {
    // tcpdump -v
    EXPECT_THAT(
        labels_in("IP6 (class 0x02, flowlabel 0x30038, hlim 64, next-header TCP (6) payload length: 40) ::1.5 > ::1.6"),
        ElementsAre("0x30038"));
    // tshark -V, -T json, -T pdml, a display filter
    EXPECT_THAT(labels_in("    .... 0011 0000 0000 0011 1000 = Flow Label: 0x30038"), ElementsAre("0x30038"));
    EXPECT_THAT(labels_in(R"(          "ipv6.flow": "0x00030038",)"), ElementsAre("0x00030038"));
    EXPECT_THAT(
        labels_in(R"(<field name="ipv6.flow" showname=".... 0011 = Flow Label: 0x30038" size="3" value="030038"/>)"),
        ElementsAre("0x30038"));
    EXPECT_THAT(labels_in("ipv6.flow == 0x00030038"), ElementsAre("0x00030038"));
    // tshark -T fields -e ipv6.flow, with a tunnel
    EXPECT_THAT(labels_in("0x00030038,0x00012345"), ElementsAre("0x00030038", "0x00012345"));
    // nft, Akvorado
    EXPECT_THAT(labels_in("ip6 flowlabel 196664 counter"), ElementsAre("196664"));
    EXPECT_THAT(labels_in(R"({"IPv6FlowLabel":196664,"SrcAS":64500})"), ElementsAre("196664"));
    EXPECT_THAT(labels_in("1 0x2\t3"), ElementsAre("1", "0x2", "3"));
}

TEST(LabelsIn, FindsNothingInOtherText) {
    for (const char* text : {"", " ", "IP6 ::1.22 > ::1.5: Flags [.], ack 1", "3 packets captured", "flowlabel",
                             "flowlabel ,", "ipv6.flow_tree", "flow label unknown 5"})
        EXPECT_THAT(labels_in(text), IsEmpty()) << text;
}

}  // namespace
}  // namespace flowd::core::cli
