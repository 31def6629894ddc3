// SPDX-License-Identifier: Apache-2.0
// Real records of production storage, as a syslog server wrote them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include "flowd/address.hpp"
#include "lib/firefly/parser.hpp"

namespace flowd::firefly {
namespace {

TEST(RealLog, IsParsedExceptItsLineOfStatistics) {
    const char* const folder = std::getenv("FLOWD_SAMPLES");
    ASSERT_NE(folder, nullptr);
    std::ifstream file(std::string(folder) + "/flowd-2022.txt");
    ASSERT_TRUE(file);
    Parser parser;
    Firefly firefly;
    std::map<std::pair<State, bool>, int> understood;  // by state, and whether it is IPv4
    int refused = 0;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with('#')) continue;
        if (const Refusal refusal = parser.parse(line, firefly); refusal != Refusal::none) {
            EXPECT_EQ(refusal, Refusal::no_json) << line;
            ++refused;
            continue;
        }
        ++understood[{firefly.state, Address(firefly.key.source).is_v4()}];
        EXPECT_NE(firefly.start_time_ns, 0) << line;
        EXPECT_GE(firefly.current_time_ns, firefly.start_time_ns) << line;
        EXPECT_EQ(firefly.end_time_ns != 0, firefly.state == State::end) << line;
        EXPECT_EQ(firefly.application, "flowd v0.1.2");
    }
    EXPECT_EQ(refused, 1);
    EXPECT_EQ(
        understood,
        (std::map<std::pair<State, bool>, int>{
            {{State::start, false}, 6}, {{State::start, true}, 5}, {{State::end, false}, 6}, {{State::end, true}, 5}}));
}

}  // namespace
}  // namespace flowd::firefly
