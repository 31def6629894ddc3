// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "backends/firefly/firefly.hpp"
#include "flowd/testing/tool.hpp"
#include "lib/firefly/parser.hpp"
#include "tests/unit/firefly/fixtures.hpp"
#include "tests/unit/net/loopback.hpp"

namespace flowd::firefly_backend {
namespace {

namespace fixtures = firefly::fixtures;
using net::Loopback;

class FireflyTools : public ::testing::Test {
  protected:
    using Words = std::vector<std::pair<std::string, std::string>>;
    testing::ToolRun run(const char* tool, const Words& words, testing::Config* config = nullptr, int interrupt_fd = -1) {
        return testing::run_tool(host_, component<FireflyBackend>(), tool, words, config, interrupt_fd);
    }
    testing::FakeHost host_{"firefly"};
};

TEST_F(FireflyTools, SendReportsTheFlowOfItsOwnDatagram) {
    Loopback collector;
    const auto done = run("send", {{"to[0]", "::1"},
                                   {"port", std::to_string(collector.endpoint().port)},
                                   {"experiment", "2"},
                                   {"activity", "16"},
                                   {"wait", "0"}});
    EXPECT_EQ(done.result, FLOWD_OK);
    ASSERT_EQ(done.printed.size(), 1u);
    EXPECT_NE(done.printed[0].find(R"("sent":2,)"), std::string::npos) << done.printed[0];
    EXPECT_NE(done.printed[0].find("no refusal"), std::string::npos);
    const auto& received = collector.wait_for(2);
    ASSERT_EQ(received.size(), 2u);
    firefly::Parser parser;
    firefly::Firefly firefly;
    ASSERT_EQ(parser.parse(received[1], firefly), firefly::Refusal::none);
    EXPECT_TRUE(received[1].starts_with("<134>1 2"));
    EXPECT_EQ(firefly.state, firefly::State::end);
    EXPECT_EQ(destination_of(firefly.key), collector.endpoint());
    EXPECT_EQ(firefly.key.protocol, IPPROTO_UDP);
    EXPECT_EQ(firefly.tag.activity, 16u);
    EXPECT_NE(firefly.start_time_ns, 0);
}

TEST_F(FireflyTools, SendGoesToTheCollectorsOfTheConfiguration) {
    Loopback one, other;
    testing::Config config(component<FireflyBackend>());
    config.set("collectors[0].address", "::1").set("collectors[0].port", std::to_string(one.endpoint().port));
    config.set("collectors[1].address", "::1").set("collectors[1].port", std::to_string(other.endpoint().port));
    config.set("collectors[1].prependSyslog", "false");
    EXPECT_EQ(run("send", {{"wait", "0"}}, &config).result, FLOWD_OK);
    EXPECT_EQ(one.wait_for(2).size(), 2u);
    ASSERT_EQ(other.wait_for(2).size(), 2u);
    EXPECT_TRUE(other.take()[0].starts_with("{"));
}

TEST_F(FireflyTools, SendNamesCollectorsThatRefused) {
    const Endpoint gone = Loopback().endpoint();
    const auto done = run("send", {{"to[0]", "::1"}, {"port", std::to_string(gone.port)}});
    EXPECT_LT(done.result, 0);
    ASSERT_EQ(done.printed.size(), 1u);
    EXPECT_NE(done.printed[0].find("Connection refused"), std::string::npos) << done.printed[0];
    EXPECT_EQ(run("send", {{"to[0]", "no-such-host.invalid"}}).result, FLOWD_NOT_FOUND);
    EXPECT_EQ(run("send", {}).result, FLOWD_NOT_FOUND) << "nobody is named";
}

TEST_F(FireflyTools, ListenPrintsReceivedFirefliesAndTheirMeaning) {
    const Endpoint at = Loopback().endpoint();
    std::thread sender([&] {
        while (!host_.logged("receiving fireflies")) std::this_thread::yield();
        const auto socket = Loopback::must(net::UdpSocket::connected(at));
        for (const std::string_view text : {fixtures::xrootd_end, std::string_view("garbage"), fixtures::dcache_end})
            (void)::send(socket.fd(), text.data(), text.size(), 0);
    });
    const auto done =
        run("listen", {{"address", "::1"}, {"port", std::to_string(at.port)}, {"count", "3"}, {"seconds", "20"}});
    sender.join();
    EXPECT_EQ(done.result, FLOWD_OK);
    ASSERT_EQ(done.printed.size(), 3u);
    const auto printed = [&](std::string_view part) {
        return std::count_if(done.printed.begin(), done.printed.end(),
                             [&](const auto& line) { return line.find(part) != std::string::npos; });
    };
    EXPECT_EQ(printed(R"("understood":true,"fullHeader":false,"state":"end","source":"192.0.2.10:40122")"), 1);
    EXPECT_EQ(printed(R"("understood":true,"fullHeader":true,"state":"end","source":"[2001:db8::1]:35358")"), 1);
    EXPECT_EQ(printed(R"("understood":false,"fullHeader":false,"refusal":"no_json","text":"garbage")"), 1);
}

TEST_F(FireflyTools, ListenPrintsOneLineWithTheTimeOfArrivalForWhatTheFiltersLetThrough) {
    const Endpoint at = Loopback().endpoint();
    std::thread sender([&] {
        while (!host_.logged("receiving fireflies")) std::this_thread::yield();
        const auto socket = Loopback::must(net::UdpSocket::connected(at));
        for (const std::string_view text :
             {fixtures::xrootd_end, std::string_view("garbage"), fixtures::dcache_start, fixtures::dcache_end})
            (void)::send(socket.fd(), text.data(), text.size(), 0);
    });
    const auto done = run("listen", {{"address", "::1"},
                                     {"port", std::to_string(at.port)},
                                     {"count", "1"},
                                     {"seconds", "20"},
                                     {"from[0]", "::1"},
                                     {"experiment", "2"},
                                     {"activity", "16"},
                                     {"state", "end"}});
    sender.join();
    EXPECT_EQ(done.result, FLOWD_OK);
    ASSERT_EQ(done.printed.size(), 1u);
    EXPECT_NE(done.printed[0].find(R"("time":"2)"), std::string::npos) << done.printed[0];
    EXPECT_NE(done.printed[0].find(" end tcp [2001:db8::1]:35358 > [2001:db8:1::2]:20100 "), std::string::npos);
}

std::string sample(const char* name) {
    const char* const folder = std::getenv("FLOWD_SAMPLES");
    return (folder == nullptr ? std::string() : std::string(folder)) + "/" + name;
}

TEST_F(FireflyTools, LintGradesWhatKnownEmittersSend) {
    const auto grade = [&](const char* file, std::vector<std::string_view> faults) {
        const auto done = run("lint", {{"input", sample(file)}, {"require", "F"}});
        EXPECT_EQ(done.result, FLOWD_OK) << file;
        if (done.printed.size() != 1) return std::string();
        const std::string& report = done.printed[0];
        for (const std::string_view fault : faults)
            EXPECT_NE(report.find('"' + std::string(fault) + '"'), std::string::npos) << file << ": " << report;
        std::string grades;
        constexpr std::string_view member = R"("grade":")";
        for (auto at = report.find(member); at != std::string::npos; at = report.find(member, at + 1))
            grades += report[at + member.size()];
        return grades;
    };
    EXPECT_EQ(grade("xrootd.txt", {"nil-header-time"}), "C");
    EXPECT_EQ(grade("dcache.txt", {"unregistered-tag"}), "CC") << "the registry of the fake host is empty";
    EXPECT_EQ(grade("flowd-py.txt", {"no-start-time"}), "C");
    EXPECT_EQ(grade("flowd-go.txt", {"no-header-time", "no-current-time"}), "F");
    EXPECT_EQ(grade("flowd-go-bare.txt", {"no-header"}), "FF");
}

TEST_F(FireflyTools, LintReadsALogOfASyslogServer) {
    const auto done = run("lint", {{"input", sample("flowd-2022.txt")}});
    EXPECT_EQ(done.result, FLOWD_OK) << "warnings alone do not fail";
    ASSERT_EQ(done.printed.size(), 1u);
    EXPECT_NE(done.printed[0].find(R"("emitter":"storage12.example.org flowd","grade":"C","fireflies":1,"starts":1,)"),
              std::string::npos)
        << done.printed[0];
    EXPECT_EQ(run("lint", {{"input", sample("flowd-2022.txt")}, {"require", "B"}}).result, FLOWD_ERROR);
}

TEST_F(FireflyTools, LintReceivesAtAPort) {
    const Endpoint at = Loopback().endpoint();
    std::thread sender([&] {
        while (!host_.logged("receiving fireflies")) std::this_thread::yield();
        const auto socket = Loopback::must(net::UdpSocket::connected(at));
        for (const std::string_view text : {fixtures::flowd_go_end, fixtures::dcache_end})
            (void)::send(socket.fd(), text.data(), text.size(), 0);
    });
    const auto done = run("lint", {{"input", ":" + std::to_string(at.port)}, {"count", "2"}, {"seconds", "20"}});
    sender.join();
    EXPECT_EQ(done.result, FLOWD_ERROR) << "errors fail";
    ASSERT_EQ(done.printed.size(), 1u);
    EXPECT_NE(done.printed[0].find(R"({"emitter":"se2.example.org flowd-go-2.4.2","address":"::1","grade":"F")"),
              std::string::npos)
        << done.printed[0];
    EXPECT_NE(done.printed[0].find(R"("clock-skew")"), std::string::npos) << done.printed[0];
}

TEST_F(FireflyTools, LintSaysWhatItCannotRead) {
    EXPECT_EQ(run("lint", {{"input", "/no/such/file"}}).result, FLOWD_NOT_FOUND);
    EXPECT_EQ(run("lint", {{"input", ":0"}}).result, FLOWD_INVALID);
    const std::string directory = ::testing::TempDir() + "/lint";
    std::filesystem::create_directory(directory);
    const std::string pipe = directory + "/pipe", empty = directory + "/empty", zeros = directory + "/zeros";
    (void)::mkfifo(pipe.c_str(), 0600);
    for (const std::string& input : {directory, pipe, std::string("/dev/null")}) {  // to open the pipe would wait for ever
        EXPECT_EQ(run("lint", {{"input", input}}).result, FLOWD_INVALID);
        EXPECT_EQ(host_.problems().back().message, input + " is not a regular file");
    }
    std::ofstream{empty};
    EXPECT_EQ(run("lint", {{"input", empty}}).result, FLOWD_NOT_FOUND) << "no firefly";
    std::ofstream{zeros};
    std::filesystem::resize_file(zeros, std::uintmax_t{64} << 20);
    rusage before{}, after{};
    ::getrusage(RUSAGE_SELF, &before);
    EXPECT_EQ(run("lint", {{"input", zeros}}).result, FLOWD_INVALID);
    ::getrusage(RUSAGE_SELF, &after);
    EXPECT_EQ(host_.problems().back().message, zeros + ": a line is longer than 1 MiB: this is no log");
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 16 << 10) << "a line without an end is not kept in memory, in KiB";
    std::filesystem::remove_all(directory);
}

TEST_F(FireflyTools, ListenEndsWhenInterruptedAndFailsIfTooFewWereReceived) {
    const std::string port = std::to_string(Loopback().endpoint().port);
    const UniqueFd interrupt(::eventfd(1, EFD_CLOEXEC));
    EXPECT_EQ(run("listen", {{"address", "::1"}, {"port", port}}, nullptr, interrupt.get()).result, FLOWD_OK);
    EXPECT_EQ(run("listen", {{"address", "::1"}, {"port", port}, {"count", "1"}, {"seconds", "1"}}).result, FLOWD_ERROR);
    EXPECT_EQ(host_.problems().at(0).message, "0 of 1 datagrams arrived");
    const Loopback taken;
    EXPECT_EQ(run("listen", {{"address", "::1"}, {"port", std::to_string(taken.endpoint().port)}}).result, FLOWD_BUSY);
}

}  // namespace
}  // namespace flowd::firefly_backend
