// SPDX-License-Identifier: Apache-2.0
#include "core/cli/app.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <optional>
#include <sstream>

namespace flowd::core::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Ran {
    ExitCode code = ExitCode::failure;
    std::string out, err;
    std::optional<GlobalOptions> daemon;  ///< what `run` was called with
};

Ran run_with(std::vector<const char*> words, const std::string& input = {}) {
    words.insert(words.begin(), "flowd-cpp");
    std::ostringstream out, err;
    std::istringstream in(input);
    Ran ran;
    const Environment environment{out, err, false,
                                  [&](const GlobalOptions& options) {
                                      ran.daemon = options;
                                      return ExitCode::abandoned;
                                  },
                                  in};
    ran.code = run(static_cast<int>(words.size()), words.data(), environment);
    ran.out = out.str();
    ran.err = err.str();
    return ran;
}

TEST(CommandLine, AcceptsGlobalFlagsBeforeAndAfterTheSubcommand) {
    for (const auto& words : std::vector<std::vector<const char*>>{
             {"--conf", "/c", "--log-level", "debug", "--log-time", "--modules", "/m", "--control", "/s", "--json", "run"},
             {"run", "--conf", "/c", "--log-level", "debug", "--log-time", "--modules", "/m", "--control", "/s", "--json"},
             {"--conf=/c", "--log-time", "run", "--log-level=debug", "--modules", "/m", "--control=/s", "--json"}}) {
        const Ran ran = run_with(words);
        EXPECT_EQ(ran.code, ExitCode::abandoned) << ran.err;
        ASSERT_TRUE(ran.daemon.has_value()) << ran.err;
        EXPECT_EQ(ran.daemon->conf, "/c");
        EXPECT_EQ(ran.daemon->log_level, "debug");
        EXPECT_TRUE(ran.daemon->log_time);
        EXPECT_THAT(ran.daemon->modules, ElementsAre("/m"));
        EXPECT_EQ(ran.daemon->control, "/s");
        EXPECT_TRUE(ran.daemon->json);
    }
}

TEST(CommandLine, CollectsAllModulesDirectories) {
    const Ran ran = run_with({"--modules", "/a", "run", "--modules", "/b"});
    ASSERT_TRUE(ran.daemon.has_value()) << ran.err;
    EXPECT_THAT(ran.daemon->modules, ElementsAre("/a", "/b"));
    const Ran forwarded = run_with({"--control", "/nonexistent/control", "--modules", "/a", "marker", "status"});
    EXPECT_EQ(forwarded.code, ExitCode::no_daemon) << forwarded.err;
}

TEST(CommandLine, HasDefaults) {
    const Ran ran = run_with({"run"});
    ASSERT_TRUE(ran.daemon.has_value());
    EXPECT_EQ(ran.daemon->conf, "/etc/flowd-cpp/conf.yaml");
    EXPECT_EQ(ran.daemon->log_level, "info");
    EXPECT_FALSE(ran.daemon->log_time);
    EXPECT_TRUE(ran.daemon->control.empty());
}

TEST(CommandLine, AcceptsGlobalFlagsAfterNestedSubcommandsAndTheirArguments) {
    EXPECT_THAT(run_with({"label", "encode", "3", "14", "--json"}).out, HasSubstr(R"("label":"0x30038")"));
    EXPECT_THAT(run_with({"--json", "label", "encode", "3", "14"}).out, HasSubstr(R"("label":"0x30038")"));
    EXPECT_THAT(run_with({"label", "--json", "decode", "0x30038"}).out, HasSubstr(R"("scitag":206)"));
}

TEST(CommandLine, ForwardsAnyOtherFirstWordWithoutTheGlobalFlags) {
    const Ran ran = run_with({"marker", "status", "--control", "/nonexistent/control", "--json"});
    EXPECT_EQ(ran.code, ExitCode::no_daemon);
    EXPECT_THAT(ran.err, HasSubstr("/nonexistent/control"));
}

TEST(CommandLine, ForwardsArgumentsAfterMetricsToThatBackend) {
    const Ran ran = run_with({"metrics", "status", "--control", "/nonexistent/control"});
    EXPECT_EQ(ran.code, ExitCode::no_daemon);
    EXPECT_THAT(ran.err, HasSubstr("/nonexistent/control"));
}

TEST(CommandLine, ForwardsArgumentsThatAreSubcommandNames) {
    const Ran ran = run_with({"--control", "/nonexistent/control", "marker", "run"});
    EXPECT_FALSE(ran.daemon.has_value());
    EXPECT_EQ(ran.code, ExitCode::no_daemon);
}

TEST(CommandLine, NamesTheNearestSubcommandWhenNoDaemonRuns) {
    const Ran ran = run_with({"stauts", "--control", "/nonexistent/control"});
    EXPECT_EQ(ran.code, ExitCode::usage);
    EXPECT_THAT(ran.err, HasSubstr("\"stauts\""));
    EXPECT_THAT(ran.err, HasSubstr("did you mean \"status\"?"));
}

TEST(CommandLine, ReportsThatNoDaemonRuns) {
    for (const char* command : {"status", "flows", "metrics", "refusals", "findings", "commands", "reload"}) {
        const Ran ran = run_with({command, "--control", "/nonexistent/control"});
        EXPECT_EQ(ran.code, ExitCode::no_daemon);
        EXPECT_THAT(ran.err, HasSubstr("no daemon answers at /nonexistent/control"));
    }
}

TEST(CommandLine, RefusesUnknownArguments) {
    for (const auto& words : std::vector<std::vector<const char*>>{{},
                                                                   {"--no-such-flag"},
                                                                   {"--no-such-flag", "run"},
                                                                   {"run", "--no-such-flag"},
                                                                   {"run", "surplus"},
                                                                   {"status", "marker", "surplus"},
                                                                   {"--log-level", "loud", "run"},
                                                                   {"modules"},
                                                                   {"modules", "lst"},
                                                                   {"label", "encode", "3"},
                                                                   {"label", "encode", "512", "1"},
                                                                   {"new-module", "x"},
                                                                   {"new-module", "x", "--kind", "sink"}}) {
        const Ran ran = run_with(words);
        EXPECT_EQ(ran.code, ExitCode::usage) << (words.empty() ? "no words" : words.back()) << "\n" << ran.err;
        EXPECT_FALSE(ran.err.empty());
        EXPECT_FALSE(ran.daemon.has_value());
    }
}

TEST(CommandLine, DecodesSeveralLabelsOneALine) {
    const Ran ran = run_with({"label", "decode", "0x30038", "65"});
    EXPECT_EQ(ran.code, ExitCode::ok) << ran.err;
    EXPECT_THAT(ran.out, testing::StartsWith("0x30038  experiment"));
    EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 2);
    EXPECT_THAT(run_with({"label", "decode", "ipv6.flow", "==", "0x30038"}).out, HasSubstr("label decimal"))
        << "one value, in words";
    const Ran bad = run_with({"label", "decode", "0x30038", "0x100000", "0x100001"});
    EXPECT_EQ(bad.code, ExitCode::usage);
    EXPECT_THAT(bad.out, HasSubstr("0x30038"));
    EXPECT_THAT(bad.err, HasSubstr("0x100000 is not a flow label"));
    EXPECT_THAT(bad.err, HasSubstr("(and 1 more)"));
}

TEST(CommandLine, DecodesTheLabelsInStandardInput) {
    const Ran ran =
        run_with({"label", "decode", "-"}, "listening on eth0\nIP6 (flowlabel 0x30038, hlim 64) a > b\n" +
                                               std::string(200000, 'x') + "\nIP6 (flowlabel 0x00004, hlim 64) a > b");
    EXPECT_EQ(ran.code, ExitCode::ok) << ran.err;
    EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 2) << ran.out;
    const Ran json = run_with({"label", "decode", "-", "--json"}, "0x30038\n0x20004\n");
    EXPECT_THAT(json.out, testing::MatchesRegex("\\{\"label\":\"0x30038\".*\\}\n\\{\"label\":\"0x20004\".*\\}\n"));
    const Ran none = run_with({"label", "decode", "-"}, "3 packets captured\n");
    EXPECT_EQ(none.code, ExitCode::usage);
    EXPECT_THAT(none.err, HasSubstr("there is no flow label in standard input"));
}

TEST(CommandLine, HasHelpForEverySubcommand) {
    const Ran all = run_with({"--help"});
    EXPECT_EQ(all.code, ExitCode::ok);
    for (const char* word :
         {"run", "check", "conf", "modules", "status", "flows", "metrics", "refusals", "findings", "explain", "coverage",
          "plan", "commands", "reload", "new-module", "version", "label", "registry"}) {
        EXPECT_THAT(all.out, HasSubstr(word));
        const Ran one = run_with({word, "--help"});
        EXPECT_EQ(one.code, ExitCode::ok);
        EXPECT_THAT(one.out, HasSubstr("Example:\n  flowd-cpp " + std::string(word)));
    }
    for (const auto& [code, meaning] : exit_code_meanings) EXPECT_THAT(all.out, HasSubstr(std::string(meaning)));
}

TEST(CommandLine, PrintsTheVersionOfProductAndAbi) {
    EXPECT_THAT(run_with({"version"}).out, HasSubstr("module ABI 1."));
    EXPECT_THAT(run_with({"--json", "version"}).out, HasSubstr(R"("moduleAbi":"1.)"));
    EXPECT_THAT(run_with({"--version"}).out, HasSubstr("flowd-cpp "));
}

}  // namespace
}  // namespace flowd::core::cli
