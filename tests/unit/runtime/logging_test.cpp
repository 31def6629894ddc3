// SPDX-License-Identifier: Apache-2.0
#include "core/service/logging.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/modules/log_limiter.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {
namespace {

struct LoggingTest : ::testing::Test {
    UniqueFd fd{::memfd_create("log", MFD_CLOEXEC)};
    LogOptions options{spdlog::level::info, false, false, fd.get()};
    [[nodiscard]] std::string written() const {
        std::string text(4096, '\0');
        text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::pread(fd.get(), text.data(), text.size(), 0))));
        return text;
    }
};

TEST_F(LoggingTest, ALineHasItsLevelAndItsInstance) {
    const Logging logging(options);
    logging.logger("firefly/regional")->warn("slow");
    logging.logger("")->error("bad");
    logging.logger("")->debug("unseen");
    EXPECT_EQ(written(), "[warning] [firefly/regional] slow\n[error] bad\n");
}

TEST_F(LoggingTest, TimeIsRfc3339InUtc) {
    options.time = true;
    Logging(options).logger("")->info("x");
    EXPECT_THAT(written(), ::testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6}Z \\[info\\] x\n"));
}

TEST_F(LoggingTest, TheJournalGetsPrioritiesAndNoTime) {
    options.journal = true;
    options.time = true;
    const Logging logging(options);
    logging.logger("x")->error("one\ntwo");
    EXPECT_EQ(written(), "<3>[x] one\n<3>[x] two\n") << "every line needs its own priority";
}

TEST_F(LoggingTest, WhatOthersSentCannotForgeALineOrSteerATerminal) {
    Logging(options).logger("x")->info("a\x1b[31mb\rc");
    EXPECT_EQ(written(), "[info] [x] a\\x1b[31mb\\x0dc\n");
}

TEST_F(LoggingTest, LevelsHaveTheirWords) {
    EXPECT_EQ(parse_log_level("warning"), spdlog::level::warn);
    EXPECT_EQ(parse_log_level("trace"), spdlog::level::trace);
    EXPECT_EQ(parse_log_level("loud"), std::nullopt);
}

TEST(LogLimiter, ABurstPassesThenTheRestIsCountedUntilTheNextWindow) {
    LogLimiter limiter;
    const LogLimiter::Clock::time_point start{};
    for (std::uint32_t i = 0; i < LogLimiter::burst; ++i) EXPECT_TRUE(limiter.judge("refused 1.2.3.4", start).pass);
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(limiter.judge("refused 5.6.7.8", start).pass) << "digits make no difference";
    EXPECT_TRUE(limiter.judge("something else", start).pass);
    const auto later = limiter.judge("refused 1.2.3.4", start + LogLimiter::window);
    EXPECT_TRUE(later.pass);
    EXPECT_EQ(later.suppressed, 5U);
}

}  // namespace
}  // namespace flowd::core
