// SPDX-License-Identifier: Apache-2.0
// Everything that the bus counts by name is in docs/flows.md.
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "tests/unit/flows/support.hpp"

namespace flowd::core::test {
namespace {

template <typename Enum>
std::set<std::string> names() {
    std::set<std::string> out;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Enum::count_); ++i)
        out.insert(std::string(name_of(static_cast<Enum>(i))));
    EXPECT_EQ(out.size(), static_cast<std::size_t>(Enum::count_)) << "each has a name of its own";
    EXPECT_EQ(out.count(""), 0u);
    return out;
}

TEST(Names, OfReasonsAndEffectsAreDocumented) {
    std::ifstream file(FLOWD_SOURCE_DIR "/docs/flows.md");
    const std::string text(std::istreambuf_iterator<char>(file), {});
    ASSERT_FALSE(text.empty());
    for (const auto& list : {names<Refusal>(), names<Effect>(), names<Expiry>()})
        for (const std::string& name : list) EXPECT_NE(text.find('`' + name + '`'), std::string::npos) << name;
}

}  // namespace
}  // namespace flowd::core::test
