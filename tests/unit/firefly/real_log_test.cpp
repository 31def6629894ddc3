// SPDX-License-Identifier: Apache-2.0
// Real records of production storage, where they are at hand; they are not part of this repository.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lib/firefly/parser.hpp"

namespace flowd::firefly {
namespace {

std::vector<std::string> lines_of(const std::string& compressed) {
    const std::string command = "gzip -dc '" + compressed + "'";
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::vector<std::string> lines(1);
    for (int c = std::fgetc(pipe.get()); c != EOF; c = std::fgetc(pipe.get())) {
        if (c == '\n')
            lines.emplace_back();
        else
            lines.back().push_back(static_cast<char>(c));
    }
    if (lines.back().empty()) lines.pop_back();
    return lines;
}

TEST(RealLog, IsUnderstoodButForItsOneLineOfStatistics) {
    const char* path = std::getenv("FLOWD_REAL_LOG");
    if (path == nullptr || !std::filesystem::exists(path)) GTEST_SKIP() << "no real log here";
    Parser parser;
    Firefly firefly;
    std::size_t understood = 0;
    std::vector<std::size_t> refused;
    std::size_t number = 0;
    for (const auto& line : lines_of(path)) {
        ++number;
        if (parser.parse(line, firefly) == Refusal::none)
            ++understood;
        else
            refused.push_back(number);
    }
    EXPECT_EQ(understood, 4999u);
    EXPECT_EQ(refused, std::vector<std::size_t>{1404});
}

}  // namespace
}  // namespace flowd::firefly
