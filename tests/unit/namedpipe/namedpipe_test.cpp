// SPDX-License-Identifier: Apache-2.0
#include "plugins/namedpipe/namedpipe.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "flowd/testing/instance.hpp"

namespace flowd::namedpipe {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

const std::string line = "start tcp 192.0.2.1 2345 192.0.2.2 5777 1 2\n";

std::string numbered(int port, const char* state = "start") {
    return std::string(state) + " tcp 2001:db8::1 " + std::to_string(port) + " 2001:db8::2 1094 3 13\n";
}

class NamedPipeTest : public ::testing::Test {
  protected:
    NamedPipeTest() {
        std::string name = (fs::temp_directory_path() / "flowd-namedpipe-XXXXXX").string();
        folder_ = fs::canonical(::mkdtemp(name.data()));
        path_ = folder_ / "flowd";
        config_.set("pipePath", path_.string());
    }
    ~NamedPipeTest() override {
        instance_.reset();
        fs::remove_all(folder_);
    }
    void bring_up() {
        instance_ = std::make_unique<testing::Instance>(host_, component<NamedPipe>(), config_);
        ASSERT_EQ(instance_->bring_up(), FLOWD_OK);
    }
    /// As StoRM does: opened, written, closed.
    void write(const std::string& text) { write(text, path_); }
    static void write(const std::string& text, const fs::path& path) {
        const UniqueFd writer(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
        write(text, writer.get());
    }
    static void write(const std::string& text, int fd) {
        ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    bool announced(std::size_t count) {
        return host_.run_until([&] { return host_.events().size() >= count; });
    }
    [[nodiscard]] bool shows(const std::string& part) { return instance_->status().find(part) != std::string::npos; }
    bool comes_to_show(const std::string& part) {
        return host_.run_until([&] { return shows(part); });
    }
    [[nodiscard]] flowd_result fails() {
        testing::Instance instance(host_, component<NamedPipe>(), config_);
        return instance.bring_up();
    }

    fs::path folder_, path_;
    testing::FakeHost host_{"namedpipe"};
    testing::Config config_{component<NamedPipe>()};
    std::unique_ptr<testing::Instance> instance_;
};

TEST_F(NamedPipeTest, AnnouncesTheFlowsOfWrittenLines) {
    bring_up();
    write(numbered(4711) + numbered(4711, "end"));
    ASSERT_TRUE(announced(2));
    const auto first = host_.events().at(0);
    EXPECT_EQ(first->kind, static_cast<std::uint32_t>(FLOWD_EVENT_START));
    EXPECT_EQ(source_of(first->key).to_string(), "[2001:db8::1]:4711");
    EXPECT_EQ(destination_of(first->key).to_string(), "[2001:db8::2]:1094");
    EXPECT_TRUE(same_tag(first->tag, {3, 13}));
    EXPECT_EQ(host_.events().at(1)->kind, static_cast<std::uint32_t>(FLOWD_EVENT_END));
}

TEST_F(NamedPipeTest, HasExplicitPrecedence) {
    EXPECT_EQ(component<NamedPipe>().precedence, static_cast<std::uint32_t>(FLOWD_PRECEDENCE_EXPLICIT));
}

TEST_F(NamedPipeTest, CreatesAPipeWithMode0666WhateverTheUmask) {
    const mode_t before = ::umask(0077);
    bring_up();
    ::umask(before);
    EXPECT_EQ(fs::status(path_).type(), fs::file_type::fifo);
    EXPECT_EQ(fs::status(path_).permissions(), static_cast<fs::perms>(0666));
}

TEST_F(NamedPipeTest, LeavesThePipeAndReusesItAtTheNextStart) {
    bring_up();
    struct stat before {};
    ASSERT_EQ(::stat(path_.c_str(), &before), 0);
    const UniqueFd nginx(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    instance_.reset();
    ASSERT_EQ(fs::status(path_).type(), fs::file_type::fifo);
    testing::FakeHost again{"namedpipe"};
    testing::Instance instance(again, component<NamedPipe>(), config_);
    ASSERT_EQ(instance.bring_up(), FLOWD_OK);
    struct stat after {};
    ASSERT_EQ(::stat(path_.c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
    write(line, nginx.get());
    EXPECT_TRUE(again.run_until([&] { return again.events().size() == 1; }));
}

// case C61
TEST_F(NamedPipeTest, KeepsTheModeOfAnExistingPipe) {
    ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    bring_up();
    EXPECT_EQ(fs::status(path_).permissions(), static_cast<fs::perms>(0600));
    EXPECT_TRUE(host_.logged("mode 0600"));
}

// case C12
TEST_F(NamedPipeTest, RefusesARegularFileWithTheCommandsThatReplaceIt) {
    std::ofstream(path_) << line;
    EXPECT_EQ(fails(), FLOWD_BUSY);
    const auto problems = host_.problems();
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_EQ(problems[0].option, "pipePath");
    EXPECT_NE(problems[0].message.find("regular file"), std::string::npos);
    EXPECT_NE(
        problems[0].hint.find("mv " + path_.string() + ' ' + path_.string() + ".old && mkfifo -m 0666 " + path_.string()),
        std::string::npos);
    EXPECT_EQ(fs::file_size(path_), line.size()) << "and leaves it alone";
}

TEST_F(NamedPipeTest, ReportsAMissingDirectory) {
    config_.set("pipePath", (folder_ / "absent" / "flowd").string());
    EXPECT_EQ(fails(), FLOWD_NOT_FOUND);
    EXPECT_NE(host_.problems().at(0).hint.find("folder"), std::string::npos);
}

TEST_F(NamedPipeTest, ReportsADanglingSymbolicLink) {
    fs::create_symlink(folder_ / "absent", path_);
    EXPECT_EQ(fails(), FLOWD_NOT_FOUND);
    EXPECT_NE(host_.problems().at(0).message.find("symbolic link"), std::string::npos);
}

TEST_F(NamedPipeTest, CanBeReachedThroughASymbolicLink) {
    bring_up();
    const fs::path fixed = folder_ / "var-run-flowd";
    fs::create_symlink(path_, fixed);
    write(line, fixed);
    EXPECT_TRUE(announced(1));
}

TEST_F(NamedPipeTest, AcceptsASymbolicLinkToAPipe) {
    ASSERT_EQ(::mkfifo((folder_ / "np").c_str(), 0666), 0);
    fs::create_symlink(folder_ / "np", path_);
    bring_up();
    write(line, folder_ / "np");
    EXPECT_TRUE(announced(1));
    EXPECT_TRUE(host_.keeps("fifo:" + (folder_ / "np").string())) << "under the name that the kernel gives it";
}

TEST_F(NamedPipeTest, JoinsPartsOfALineAndSplitsSeveralLines) {
    bring_up();
    write(line.substr(0, 17));
    host_.poll();
    write(line.substr(17) + line + line.substr(0, 3));
    ASSERT_TRUE(announced(2));
    write(line.substr(3));
    EXPECT_TRUE(announced(3));
    EXPECT_TRUE(shows(R"("refused":0)")) << instance_->status();
}

TEST_F(NamedPipeTest, JoinsLinesOverReadsOfOneByte) {
    config_.set("buffSize", "1");
    bring_up();
    write(line + line);
    EXPECT_TRUE(announced(2));
}

TEST_F(NamedPipeTest, DoesNotAnnounceALineWithoutItsNewline) {
    bring_up();
    const std::string sixteen = "start tcp 192.0.2.1 2345 192.0.2.2 5777 2 16\n";
    write(sixteen.substr(0, sixteen.size() - 2));  // activity 1, and the writer is gone
    ASSERT_TRUE(host_.run_until([&] { return !shows(R"("bytes":0)"); }));
    for (int i = 0; i < 10; ++i) host_.advance(1s);
    EXPECT_TRUE(host_.events().empty());
    EXPECT_TRUE(shows(R"("refusals":{"unterminated":1})")) << instance_->status();
    ASSERT_EQ(host_.refusals().size(), 1u);
    EXPECT_EQ(host_.refusals()[0].first.find("start tcp 192.0.2.1"), 0u);
    EXPECT_TRUE(shows(R"("lines":1,)")) << "it is one of the lines";
    write(line);
    ASSERT_TRUE(announced(1)) << "the next writer's line is not joined to it";
    EXPECT_EQ(host_.events()[0]->tag.activity, 2u);
}

TEST_F(NamedPipeTest, RefusesAnUnterminatedLineAfterATimeout) {
    bring_up();
    write(line.substr(0, 20));
    ASSERT_TRUE(host_.run_until([&] { return !shows(R"("bytes":0)"); }));
    for (int i = 0; i < 4; ++i) host_.advance(1s);
    write(line.substr(20));
    EXPECT_TRUE(announced(1));
    EXPECT_TRUE(shows(R"("refused":0)")) << instance_->status();
}

TEST_F(NamedPipeTest, CountsAnUnterminatedLineAtTheStop) {
    bring_up();
    write(line + line.substr(0, line.size() - 1));
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.events().size(), 1u);
    EXPECT_EQ(host_.metric(R"(namedpipe_refused_total{reason="unterminated"})")->value, 1);
    EXPECT_EQ(host_.metric("namedpipe_lines_total")->value, 2);
}

TEST_F(NamedPipeTest, CountsRefusalsByReasonAndReportsEachToTheCore) {
    bring_up();
    write("garbage\n\n  \n" + std::string(5000, 'x') + "\nstart tcp ::1 0 ::2 2 1 2\npause tcp ::1 1 ::2 2 1 2\n" + line);
    ASSERT_TRUE(announced(1));
    EXPECT_EQ(host_.events().size(), 1u);
    EXPECT_TRUE(shows(R"("lines":5)")) << instance_->status();
    EXPECT_TRUE(shows(R"("refusals":{"too_long":1,"field_count":1,"bad_state":1,"port_zero":1})")) << instance_->status();
    EXPECT_FALSE(shows("lastRefused")) << "flowd-cpp refusals shows it";
    ASSERT_EQ(host_.refusals().size(), 4u);
    EXPECT_EQ(host_.refusals()[3].reason, "bad_state");
    EXPECT_EQ(host_.refusals()[3].first, "pause tcp ::1 1 ::2 2 1 2");
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.metric(R"(namedpipe_refused_total{reason="port_zero"})")->value, 1);
    EXPECT_EQ(host_.metric("namedpipe_lines_total")->value, 5);
    EXPECT_EQ(host_.metric(R"(namedpipe_events_total{state="start"})")->value, 1);
}

TEST_F(NamedPipeTest, StopsReadingWhenTheQueuesAreFullAndLosesNothing) {
    bring_up();
    host_.accept(100);
    std::string text;
    for (int i = 0; i < 1000; ++i) text += numbered(1000 + i);
    write(text);
    ASSERT_TRUE(comes_to_show(R"("paused":true)"));
    write(numbered(2000));
    host_.poll();
    EXPECT_EQ(host_.events().size(), 100u);

    host_.accept(250);
    instance_->on_room();
    EXPECT_EQ(host_.events().size(), 350u) << "what waited goes first";
    EXPECT_TRUE(shows(R"("paused":true)")) << "and full it is again";
    host_.accept_all();
    instance_->on_room();
    ASSERT_TRUE(announced(1001));
    const auto events = host_.events();
    ASSERT_EQ(events.size(), 1001u) << "none twice";
    for (std::size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i]->key.source_port, 1000 + i) << "in order";
    EXPECT_TRUE(shows(R"("pauses":2)")) << instance_->status();
    EXPECT_TRUE(shows(R"("paused":false)"));
}

TEST_F(NamedPipeTest, ContinuesAfterAnEventThatTheCoreRefuses) {
    bring_up();
    host_.accept(1, FLOWD_LIMIT);
    write(line + line);
    ASSERT_TRUE(comes_to_show(R"("notTaken":1)"));
    EXPECT_EQ(host_.events().size(), 1u);
    host_.accept_all();
    write(line);
    EXPECT_TRUE(announced(2));
}

TEST_F(NamedPipeTest, AnnouncesTheLinesInThePipeBeforeItStops) {
    bring_up();
    write(line + line);
    EXPECT_EQ(instance_->stop(), FLOWD_OK);
    EXPECT_EQ(host_.events().size(), 2u);
}

TEST_F(NamedPipeTest, TakesOverAPipeWithItsContents) {
    ASSERT_EQ(::mkfifo(path_.c_str(), 0666), 0);
    UniqueFd systemd(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    write(line);
    host_.offer_descriptor("fifo:" + path_.string(), std::move(systemd));
    bring_up();
    EXPECT_TRUE(announced(1));
    EXPECT_TRUE(host_.keeps("fifo:" + path_.string()));
}

TEST_F(NamedPipeTest, OpensAPassedPipeForWritingSoThatItNeverEnds) {
    ASSERT_EQ(::mkfifo(path_.c_str(), 0666), 0);
    host_.offer_descriptor("fifo:" + path_.string(), UniqueFd(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)));
    bring_up();
    for (int i = 0; i < 3; ++i) {
        write(line);
        EXPECT_TRUE(announced(static_cast<std::size_t>(i) + 1));
    }
    EXPECT_FALSE(shows("lastError")) << instance_->status();
}

TEST_F(NamedPipeTest, RefusesAPassedDescriptorThatIsNotAPipe) {
    host_.offer_descriptor("fifo:" + path_.string(), UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)));
    EXPECT_EQ(fails(), FLOWD_INVALID);
}

// case C61
TEST_F(NamedPipeTest, RecreatesARemovedPipeAndContinuesToReadTheOldOne) {
    bring_up();
    const UniqueFd nginx(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    fs::remove(path_);
    host_.advance(1s);
    ASSERT_EQ(fs::status(path_).type(), fs::file_type::fifo);
    write(numbered(1));
    ASSERT_TRUE(announced(1));
    write(numbered(2), nginx.get());
    EXPECT_TRUE(announced(2));
    EXPECT_TRUE(shows(R"("replaced":1)"));
}

TEST_F(NamedPipeTest, LogsThatTheOldestOfManyReplacedPipesIsNoLongerRead) {
    bring_up();
    const UniqueFd oldest(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    const auto replace = [&] {
        fs::remove(path_);
        host_.advance(1s);
    };
    for (int i = 0; i < 4; ++i) replace();
    EXPECT_TRUE(shows(R"("replaced":4,"abandoned":0)")) << instance_->status();
    write(numbered(1), oldest.get());
    ASSERT_TRUE(announced(1)) << "four of them are read on";
    write(numbered(2), oldest.get());
    replace();
    EXPECT_TRUE(announced(2)) << "what was in it is taken first";
    EXPECT_TRUE(shows(R"("replaced":5,"abandoned":1)")) << instance_->status();
    EXPECT_TRUE(host_.logged("was replaced more than 4 times"));
}

TEST_F(NamedPipeTest, RetriesEventsAfterATemporaryError) {
    bring_up();
    host_.accept(1, FLOWD_NO_MEMORY);
    write(numbered(1) + numbered(2) + numbered(3));
    ASSERT_TRUE(comes_to_show(R"("paused":true)"));
    EXPECT_TRUE(host_.logged("it is offered again"));
    host_.accept_all();
    EXPECT_TRUE(announced(3)) << "although nobody says that there is room";
    EXPECT_TRUE(comes_to_show(R"("paused":false)"));
    EXPECT_TRUE(shows(R"("notTaken":0)"));
}

TEST_F(NamedPipeTest, DoesNotBlockWritersForeverIfTheCoreTakesNothing) {
    bring_up();
    host_.accept(0, FLOWD_NO_MEMORY);
    for (int port = 1; port <= 100; ++port) write(numbered(port));
    ASSERT_TRUE(host_.run_until([&] {
        host_.advance(1s);
        return shows(R"("notTaken":100)");
    })) << instance_->status();
    std::size_t lines = 0;
    for (const auto& one : host_.lines()) lines += one.text.find("the core") != std::string::npos ? 1 : 0;
    EXPECT_EQ(lines, 2u) << "the first failure, and that events are left out";
    host_.accept_all();
    write(line);
    EXPECT_TRUE(announced(1));
}

TEST_F(NamedPipeTest, ReportsLinesThatWereNotAnnouncedBeforeTheStop) {
    bring_up();
    host_.accept(10);
    std::string text;
    for (int port = 1000; port < 1200; ++port) text += numbered(port);
    write(text);
    ASSERT_TRUE(host_.run_until([&] { return host_.events().size() == 10; }));
    for (int port = 1200; port < 1210; ++port) write(numbered(port));  // nobody reads while the queues are full
    EXPECT_EQ(instance_->stop(50ms), FLOWD_OK);
    EXPECT_EQ(host_.events().size(), 10u);
    EXPECT_EQ(host_.lost(), 200u) << "it is in the exit code";
    EXPECT_TRUE(host_.logged("200 lines were not announced before the stop"));
}

TEST_F(NamedPipeTest, ReportsOnceThatAFileReplacedThePipe) {
    bring_up();
    fs::remove(path_);
    std::ofstream(path_) << "nginx was here\n";
    for (int i = 0; i < 5; ++i) host_.advance(1s);
    ASSERT_EQ(host_.problems().size(), 1u);
    EXPECT_NE(host_.problems()[0].message.find("regular file"), std::string::npos);
    fs::remove(path_);
    host_.advance(1s);
    write(line);
    EXPECT_TRUE(announced(1));
}

TEST_F(NamedPipeTest, ChangesItsPathOnAReloadWithoutLosingLines) {
    bring_up();
    write(numbered(1));
    const fs::path other = folder_ / "other";
    ASSERT_EQ(instance_->reconfigure(testing::Config(config_).set("pipePath", other.string())), FLOWD_OK);
    EXPECT_EQ(host_.events().size(), 1u) << "what was in the old one is taken first";
    write(numbered(2), other);
    EXPECT_TRUE(announced(2));
    EXPECT_TRUE(host_.keeps("fifo:" + other.string()));
    EXPECT_FALSE(host_.keeps("fifo:" + path_.string()));
}

TEST_F(NamedPipeTest, KeepsTheOldPathIfANewOneIsUnusable) {
    bring_up();
    EXPECT_EQ(instance_->reconfigure(testing::Config(config_).set("pipePath", folder_.string() + "/absent/np")),
              FLOWD_NOT_FOUND);
    write(line);
    EXPECT_TRUE(announced(1));
}

TEST_F(NamedPipeTest, WarnsThatMaxReadersHasNoEffect) {
    testing::Instance instance(host_, component<NamedPipe>(), config_.set("maxReaders", "9"));
    EXPECT_EQ(instance.validate(), FLOWD_OK);
    ASSERT_EQ(host_.problems().size(), 1u);
    EXPECT_EQ(host_.problems()[0].option, "maxReaders");
    EXPECT_EQ(host_.problems()[0].level, static_cast<flowd_level>(FLOWD_LEVEL_WARNING));
}

TEST_F(NamedPipeTest, MayBeStoppedTwiceAndWithoutStart) {
    testing::Instance instance(host_, component<NamedPipe>(), config_);
    ASSERT_EQ(instance.create(), FLOWD_OK);
    EXPECT_EQ(instance.stop(), FLOWD_OK);
    EXPECT_EQ(instance.stop(), FLOWD_OK);
}

}  // namespace
}  // namespace flowd::namedpipe
