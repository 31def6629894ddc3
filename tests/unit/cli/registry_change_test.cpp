// SPDX-License-Identifier: Apache-2.0
#include "core/cli/registry_change.hpp"

#include <gmock/gmock.h>

namespace flowd::core::cli {
namespace {

using testing::HasSubstr;

Registry registry(const std::string& experiments) {
    auto parsed = Registry::parse(R"({"experiments":[)" + experiments + "]}");
    EXPECT_TRUE(parsed.ok());
    return parsed.ok() ? *parsed : Registry{};
}

const std::string atlas = R"({"expName":"atlas","expId":2,"activities":[
    {"activityName":"default","activityId":1},{"activityName":"Production","activityId":16}]})";

std::string all_of(const std::vector<RegistryChange>& changes) {
    std::string text;
    for (const RegistryChange& change : changes)
        text += std::string(change.kind) + " " + std::to_string(change.tag.experiment) + "/" +
                (change.is_activity ? std::to_string(change.tag.activity) : "-") + " " + change.before + ">" +
                change.after + "\n";
    return text;
}

TEST(RegistryChanges, AreListedByIdWithTheNamesBeforeAndAfter) {
    const Registry before = registry(atlas + R"(,{"expName":"old","expId":9,"activities":[]})");
    const Registry after = registry(R"({"expName":"atlas","expId":2,"activities":[
        {"activityName":"Default","activityId":1},{"activityName":"Cache","activityId":3}]},
        {"expName":"new","expId":1,"activities":[{"activityName":"default","activityId":1}]})");
    EXPECT_EQ(all_of(changes_between(before, after)),
              "added 1/- >new\nadded 1/1 >default\nrenamed 2/1 default>Default\nadded 2/3 >Cache\n"
              "removed 2/16 Production>\nremoved 9/- old>\n");
    EXPECT_EQ(all_of(changes_between(before, before)), "");
}

TEST(ARegistry, IsRefusedWithIdsThatNoLabelCarriesAndWithRepeatedNames) {
    EXPECT_TRUE(check_registry(registry(atlas)).ok());
    const auto refusal = [](const std::string& experiments) {
        const auto checked = check_registry(registry(experiments));
        return checked.ok() ? std::string("accepted") : checked.error().message;
    };
    EXPECT_THAT(refusal(""), HasSubstr("no experiments"));
    EXPECT_THAT(refusal(R"({"expName":"x","expId":512})"), HasSubstr("experiment 512 is out of range: 1 to 511"));
    EXPECT_THAT(refusal(R"({"expName":"x","expId":0})"), HasSubstr("experiment 0 is out of range"));
    EXPECT_THAT(refusal(R"({"expName":"x","expId":5,"activities":[{"activityName":"a","activityId":64}]})"),
                HasSubstr("activity 64 is out of range: 1 to 63"));
    EXPECT_THAT(refusal(atlas + R"(,{"expName":"ATLAS","expId":3})"), HasSubstr("the name \"ATLAS\""));
    EXPECT_THAT(refusal(R"({"expName":"x","expId":5,"activities":[{"activityName":"a","activityId":1},
        {"activityName":"A","activityId":2}]})"),
                HasSubstr("two activities of x"));
}

}  // namespace
}  // namespace flowd::core::cli
