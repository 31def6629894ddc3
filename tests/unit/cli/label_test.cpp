// SPDX-License-Identifier: Apache-2.0
#include "core/cli/label.hpp"

#include <gmock/gmock.h>
#include <simdjson.h>

#include <set>
#include <tuple>

namespace flowd::core::cli {
namespace {

using testing::HasSubstr;

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

TEST(Label, NamesTheNearestForANameThatIsNotThere) {
    const auto encoded = encode_label("atlsa", "production", false, registry());
    ASSERT_FALSE(encoded.ok());
    EXPECT_THAT(encoded.error().message, HasSubstr("\"atlsa\""));
    EXPECT_THAT(encoded.error().hint, HasSubstr("\"atlas\""));
}

TEST(Label, RefusesWhatTheLabelCannotCarryInsteadOfCuttingIt) {
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

TEST(Label, SaysTheEntropyThatALabelHas) {
    const auto decoded = decode_label("0xf013b", false, registry());
    EXPECT_EQ(member(decoded, "entropy"), "\"0xc0103\"");
    EXPECT_EQ(member(decoded, "experimentName"), "\"cms\"");
    EXPECT_EQ(member(decoded, "hint"), "");
}

TEST(Label, SuspectsAScitagWhenTheValueIsARegisteredOneAndNoRegisteredLabel) {
    EXPECT_THAT(member(decode_label("206", false, registry()), "hint"), HasSubstr("its label is 0x30038"));
}

TEST(Label, TellsTheScitagOfALabelThatWasGivenAsOne) {
    const auto decoded = decode_label("196664", true, registry());
    ASSERT_FALSE(decoded.ok());
    EXPECT_THAT(decoded.error().hint, HasSubstr("looks like a label, the scitag is 206"));
}

TEST(Label, DecodesScitagsFromTheSmallestThatIsSent) {
    EXPECT_EQ(member(decode_label("206", true, registry()), "label"), "\"0x30038\"");
    const auto dcache = decode_label("64", true, registry());  // dCache sends experiment 1 without an activity
    EXPECT_EQ(member(dcache, "experiment"), "1");
    EXPECT_EQ(member(dcache, "activity"), "0");
    const auto beyond = decode_label("65535", true, registry());
    EXPECT_EQ(member(beyond, "experiment"), "1023");
    EXPECT_EQ(member(beyond, "label"), "");
    EXPECT_THAT(member(beyond, "hint"), HasSubstr("does not fit"));
}

TEST(Label, RefusesMoreThanTwentyBitsAndWhatIsNoNumber) {
    EXPECT_FALSE(decode_label("0x100000", false, {}).ok());
    EXPECT_FALSE(decode_label("0x", false, {}).ok());
    EXPECT_FALSE(decode_label("", false, {}).ok());
    EXPECT_FALSE(decode_label("12 ", false, {}).ok());
}

}  // namespace
}  // namespace flowd::core::cli
