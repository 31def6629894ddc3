// SPDX-License-Identifier: Apache-2.0
#include "core/base/logging.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "core/base/log_limiter.hpp"
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

TEST_F(LoggingTest, InputCannotForgeLinesOrContainTerminalEscapes) {
    Logging(options).logger("x")->info("a\x1b[31mb\rc");
    EXPECT_EQ(written(), "[info] [x] a\\x1b[31mb\\x0dc\n");
}

/// The reader's end of stderr, which reads nothing at first.
struct UnreadLoggingTest : ::testing::TestWithParam<bool> {
    void SetUp() override {
        int ends[2];
        ASSERT_EQ(GetParam() ? ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : ::pipe2(ends, O_CLOEXEC), 0);
        reader = UniqueFd(ends[0]);
        writer = UniqueFd(ends[1]);
        ::alarm(20);  // a write that waits would wait for ever
    }
    void TearDown() override { ::alarm(0); }
    std::string read_all() {
        std::string all;
        char piece[65536];
        for (ssize_t count; ready() && (count = ::read(reader.get(), piece, sizeof piece)) > 0;)
            all.append(piece, static_cast<std::size_t>(count));
        return all;
    }
    [[nodiscard]] bool ready() const {
        pollfd entry{reader.get(), POLLIN, 0};
        return ::poll(&entry, 1, 0) > 0;
    }
    UniqueFd reader, writer;
};

TEST_P(UnreadLoggingTest, ASlowReaderBlocksNobodyAndSeesTheNumberOfLostLines) {
    const Logging logging(LogOptions{spdlog::level::info, false, false, writer.get()});
    const auto logger = logging.logger("x");
    constexpr int lines = 20'000;
    for (int i = 0; i < lines; ++i) logger->info("{:0100}", i);
    const std::string before = read_all();
    logger->error("after");
    const std::string after = read_all();

    int lost = 0;
    const std::size_t at = after.find("[warning] ");
    ASSERT_NE(at, std::string::npos) << after;
    ASSERT_EQ(std::sscanf(after.c_str() + at, "[warning] %d log lines before this one were lost", &lost), 1) << after;
    EXPECT_THAT(after, ::testing::EndsWith("\n[error] [x] after\n"));
    const std::string all = before + after;
    int whole = 0;
    std::istringstream stream(all);
    for (std::string line; std::getline(stream, line);) whole += line.size() == 111 && line.rfind("[info] [x] ", 0) == 0;
    EXPECT_GT(whole, 0);
    EXPECT_EQ(whole + lost, lines) << "each line was either read or counted";
}

TEST_P(UnreadLoggingTest, ASharedStreamKeepsItsMode) {
    const Logging logging(LogOptions{spdlog::level::info, false, false, writer.get()});
    logging.logger("")->info("x");
    EXPECT_EQ(::fcntl(writer.get(), F_GETFL) & O_NONBLOCK, 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, UnreadLoggingTest, ::testing::Bool(),
                         [](const auto& kind) { return kind.param ? "Socket" : "Pipe"; });

TEST_F(LoggingTest, LevelsHaveNames) {
    EXPECT_EQ(parse_log_level("warning"), spdlog::level::warn);
    EXPECT_EQ(parse_log_level("trace"), spdlog::level::trace);
    EXPECT_EQ(parse_log_level("loud"), std::nullopt);
}

TEST(LogLimiter, ABurstPassesAndFurtherRepeatsAreCountedUntilTheNextWindow) {
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
