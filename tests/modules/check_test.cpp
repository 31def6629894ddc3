// SPDX-License-Identifier: Apache-2.0
// flowd-module-check finds what is wrong with a module, names the check that is about it, and says where.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

namespace {

struct Report {
    int status = -1;
    std::string text;
};

/// The program's answer. The words are of this test: nothing in them needs quoting but for the pattern.
Report run(const std::string& arguments) {
    const std::string command = std::string(FLOWD_MODULE_CHECK) + " " + arguments + " 2>&1";
    FILE* pipe = ::popen(command.c_str(), "re");
    Report report;
    if (pipe == nullptr) return report;
    std::array<char, 4096> buffer{};
    for (std::size_t count = 0; (count = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
        report.text.append(buffer.data(), count);
    const int status = ::pclose(pipe);
    report.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return report;
}

std::string unruly(const char* name) {
    return std::string(FLOWD_UNRULY_DIR) + "/" + name + ".so";
}

// A sanitizer makes an exit of a signal, and brings the C++ runtime along: then only the verdict is the same.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

struct Case {
    const char* module;
    const char* check;
    const char* message;
};

void PrintTo(const Case& expected, std::ostream* out) {
    *out << expected.module;
}

/// The line of JSON; a sanitizer may have said something before and behind it.
std::string answer_in(const std::string& text) {
    const auto begin = text.find("{\"module\"");
    return begin == std::string::npos ? text : text.substr(begin, text.find('\n', begin) - begin);
}

class Unruly : public testing::TestWithParam<Case> {};

TEST_P(Unruly, FailsTheCheckThatIsAboutIt) {
    const Case& expected = GetParam();
    if (sanitized && std::string(expected.check) == "no-undefined") GTEST_SKIP() << "the sanitizer names the library";
    const Report report =
        run("--json --timeout 3 --filter '" + std::string(expected.check) + "' " + unruly(expected.module));
    EXPECT_EQ(report.status, 1) << report.text;
    simdjson::dom::parser parser;
    simdjson::dom::element json;
    ASSERT_EQ(parser.parse(answer_in(report.text)).get(json), simdjson::SUCCESS) << report.text;
    EXPECT_EQ(std::string_view(json["checks"].at(0)["result"]), "failed");
    if (!sanitized) {
        EXPECT_EQ(std::string_view(json["checks"].at(0)["message"]), expected.message);
    }
    EXPECT_EQ(std::uint64_t(json["failed"]), 1u);
}

const Case cases[] = {
    {"exports-more", "one-symbol", "it exports helper_of_zoo besides flowd_module_v1: link it with a version script"},
    {"borrows-symbol", "no-undefined",
     "it uses __cxa_demangle, which none of the libraries it names has: link it with -Wl,-z,defs"},
    {"crashes-in-stop", "stop-twice", "it crashed in stop (SIGSEGV)"},
    {"hangs-in-stop", "stop-before-start", "it did not come back in stop within 3 s"},
    {"frees-in-stop", "stop-twice", "it crashed in stop (SIGABRT)"},
    {"leaks-thread", "threads-returned", "after destroy, a thread of the instance still runs"},
    {"wrong-thread", "life", "timer was called from a thread that is not the instance's"},
    {"emits-early", "life", "emit was called before start"},
    {"emits-junk", "life", "emit was given an event of kind 42"},
    {"spins-when-full", "emit-full", "it did not come back in start within 3 s"},
    {"fails-silently", "failures-explained", "start answered FLOWD_BUSY without reporting an error"},
    {"answers-nonsense", "life", "start answered 4711, which means nothing"},
    {"offers-everything", "extension-unknown", "extension(\"org.example.unknown/1\") is not null"},
    {"status-no-json", "status", "status wrote what is no JSON object: all is well"},
    {"undocumented", "options-documented",
     "the doc of option text is no line that begins with a capital and ends with a full stop: 'text'"},
    {"toolless", "tools", "tool 'greet': member 'run' is missing"},
    {"returns-from-run", "life", "run returned (FLOWD_OK) although nobody had called stop"},
    {"reads-beyond-events", "events-exact", "it crashed in on_events (SIGSEGV)"},
    {"ignores-stride", "events-longer", "it crashed in on_events (SIGABRT)"},
    {"throws-in-create", "create", "an exception came out of create: out of create"},
};

INSTANTIATE_TEST_SUITE_P(Modules, Unruly, testing::ValuesIn(cases), [](const auto& one) {
    std::string name = one.param.module;
    for (char& c : name)
        if (c == '-') c = '_';
    return name;
});

TEST(ModuleCheck, NamesTheDescriptorThatIsLeftOpen) {
    const Report report = run("--filter descriptors-returned " + unruly("leaks-descriptor"));
    EXPECT_EQ(report.status, 1);
    EXPECT_NE(report.text.find("FAIL  descriptors-returned plugin/zoo: after destroy, descriptor "), std::string::npos)
        << report.text;
    EXPECT_NE(report.text.find("(/dev/null) is still open"), std::string::npos) << report.text;
}

TEST(ModuleCheck, PassesTheYardstick) {
    const auto directory = std::filesystem::temp_directory_path() / ("flowd-check-" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory);
    // Under the name that its note tells.
    std::filesystem::copy_file(std::string(FLOWD_ZOO_DIR) + "/good.so", directory / "zoo.so");
    const Report report = run((directory / "zoo.so").string());
    std::filesystem::remove_all(directory);
    EXPECT_EQ(report.status, 0) << report.text;
    EXPECT_EQ(report.text.find("FAIL"), std::string::npos) << report.text;
}

TEST(ModuleCheck, OfAModuleThatDoesNotLoadSaysWhatTheDaemonWouldSay) {
    const Report report = run("--filter loads " + std::string(FLOWD_ZOO_DIR) + "/missing-create.so");
    EXPECT_EQ(report.status, 1);
    EXPECT_NE(report.text.find("FAIL  loads: plugin 'zoo': member 'create' is missing"), std::string::npos) << report.text;
}

TEST(ModuleCheck, ListsItsChecksAndWhatTheyPromise) {
    const Report report = run("--list " + unruly("leaks-thread"));
    EXPECT_EQ(report.status, 0);
    EXPECT_NE(report.text.find("threads-returned plugin/zoo: destroy leaves no thread running"), std::string::npos)
        << report.text;
}

TEST(ModuleCheck, WrongCommandLinesEndWithTwo) {
    EXPECT_EQ(run("").status, 2);
    EXPECT_EQ(run("/nowhere/x.so").status, 2);
    EXPECT_EQ(run("--filter no-such-check " + unruly("leaks-thread")).status, 2);
    EXPECT_EQ(run("--help").status, 0);
}

}  // namespace
