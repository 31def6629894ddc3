// SPDX-License-Identifier: Apache-2.0
// flowd-module-check finds what is wrong with a module, names the check that is about it, and says where.
#include <gtest/gtest.h>
#include <simdjson.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

namespace {

struct Report {
    int status = -1;
    std::string text;
};

/// The program's answer. The words are of this test: nothing in them needs quoting but for the pattern.
Report run(const std::string& arguments, const std::string& environment = {}) {
    const std::string command = environment + " " + FLOWD_MODULE_CHECK + " " + arguments + " 2>&1";
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
    const char* family = nullptr;  ///< the checks of this pattern are run, and only `check` fails; null: `check` alone
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
    const std::string filter = expected.family != nullptr ? expected.family : expected.check;
    const Report report = run("--json --timeout 3 --filter '" + filter + "' " + unruly(expected.module));
    EXPECT_EQ(report.status, 1) << report.text;
    simdjson::dom::parser parser;
    simdjson::dom::element json;
    ASSERT_EQ(parser.parse(answer_in(report.text)).get(json), simdjson::SUCCESS) << report.text;
    EXPECT_EQ(std::uint64_t(json["failed"]), 1u) << report.text;
    for (const simdjson::dom::element check : json["checks"]) {
        if (std::string_view(check["result"]) != "failed") continue;
        const std::string_view name = check["name"];
        EXPECT_EQ(name.substr(0, name.find(' ')), expected.check);
        if (!sanitized) {
            EXPECT_EQ(std::string_view(check["message"]), expected.message);
        }
    }
}

const Case cases[] = {
    {"exports-more", "one-symbol", "it exports helper_of_zoo besides flowd_module_v1: link it with a version script"},
    {"borrows-symbol", "no-undefined",
     "it uses __cxa_demangle, which none of the libraries it names has: link it with -Wl,-z,defs"},
    {"crashes-in-stop", "stop-twice", "it crashed in stop (SIGSEGV)"},
    {"hangs-in-stop", "stop-before-start", "it did not return in stop within 3 s"},
    {"frees-in-stop", "stop-twice", "it crashed in stop (SIGABRT)"},
    {"leaks-thread", "threads-returned", "after destroy, a thread of the instance still runs"},
    {"wrong-thread", "life", "timer was called from a thread that is not the instance's"},
    {"emits-early", "life", "emit was called before start"},
    {"emits-junk", "life", "emit was given an event of kind 42"},
    {"invents-flow-id", "life", "emit was given a flow_id that it has not returned before"},
    {"spins-when-full", "emit-full", "it did not return in start within 3 s"},
    {"fails-silently", "failures-explained", "start returned FLOWD_BUSY without reporting an error"},
    {"answers-nonsense", "life", "start returned 4711, which is not a result of this ABI"},
    {"offers-everything", "extension-unknown", "extension(\"org.example.unknown/1\") is not null"},
    {"status-no-json", "status", "status wrote what is not a JSON object: all is well"},
    {"undocumented", "options-documented",
     "the doc of option text is not one line that begins with a capital and ends with a full stop: 'text'"},
    {"toolless", "tools", "tool 'greet': member 'run' is missing"},
    {"returns-from-run", "life", "run returned (FLOWD_OK) before stop was called"},
    {"reads-beyond-events", "events-exact", "it crashed in on_events (SIGSEGV)"},
    {"ignores-stride", "events-longer", "it crashed in on_events (SIGABRT)"},
    {"throws-in-create", "create", "an exception came out of create: out of create"},
    {"takes-too-many", "events-taken", "on_events says that it took 901 of 900 events"},
    {"refuses-every-batch", "events-taken", "on_events returned FLOWD_ERROR"},
    {"refuses-every-event", "events-taken", "on_events refused 900 of 900 well-formed events"},
    {"fails-behind-a-refusal", "events-taken", "on_events returned FLOWD_ERROR"},
    {"full-without-ready", "events-taken", "on_events returned FLOWD_FULL, and ready was not called within two seconds",
     "events-*"},
    {"full-for-ever", "events-taken", "on_events returned FLOWD_FULL 1000 times and took nothing", "events-*"},
    {"refuses-empty-batch", "events-none", "on_events returned FLOWD_ERROR", "events-*"},
    {"refuses-unknown-kind", "events-unknown", "on_events returned FLOWD_UNSUPPORTED", "events-*"},
    {"refuses-no-tag", "events-extreme", "on_events returned FLOWD_ERROR", "events-*"},
    {"wants-its-start", "events-unpaired", "on_events returned FLOWD_NOT_FOUND", "events-*"},
    {"believes-attachments", "events-attachments", "it crashed in on_events (SIGSEGV)", "events-*"},
    {"believes-tcp-info", "events-samples", "it crashed in on_events (SIGSEGV)", "events-*"},
    {"samples-too-often", "sample-many", "sample added 6000 samples for 1000 flows", "sample-*"},
    {"samples-by-sizeof", "sample-longer", "it crashed in sample (SIGABRT)", "sample-*"},
    {"fails-without-flows", "sample-none", "sample without flows returned FLOWD_ERROR", "sample-*"},
    {"spins-when-stopped", "emit-stopped", "it did not return in start within 3 s", "emit-*"},
    {"spins-when-refused", "emit-refused", "it did not return in start within 3 s", "emit-*"},
    {"spins-when-unknown", "emit-unknown", "it did not return in start within 3 s", "emit-*"},
    {"stops-for-known-reasons", "stop-reasons", "it crashed in stop (SIGABRT)", "stop-*"},
    {"refuses-its-options", "reconfigure", "reconfigure with the options in force returned FLOWD_INVALID"},
    {"refuses-by-sentence", "life", "refused was given the reason 'Not JSON.': it is [a-z][a-z0-9_]*, at most 64 bytes"},
    {"status-long-summary", "status", "member 'summary' of its status has 72 columns; at most 60 are shown"},
    {"finding-without-id", "findings", "a finding has the id 'It is broken.': it is [a-z][a-z0-9-]*", "findings*"},
    {"finding-of-no-severity", "findings", "finding zoo-broken has the severity 20: it is INFO, WARNING or ERROR",
     "findings*"},
    {"finding-twice", "findings", "finding zoo-broken is there twice with the same subject", "findings*"},
    {"finding-without-remedy", "findings-offline", "finding zoo-broken has no remedy", "findings*"},
    {"explains-another-flow", "explain", "an explanation is of flow 3 in a batch of 3", "ex*"},
};

INSTANTIATE_TEST_SUITE_P(Modules, Unruly, testing::ValuesIn(cases), [](const auto& one) {
    std::string name = one.param.module;
    for (char& c : name)
        if (c == '-') c = '_';
    return name;
});

TEST(ModuleCheck, NamesADescriptorLeak) {
    const Report report = run("--filter descriptors-returned " + unruly("leaks-descriptor"));
    EXPECT_EQ(report.status, 1);
    EXPECT_NE(report.text.find("FAIL  descriptors-returned plugin/zoo: after destroy, descriptor "), std::string::npos)
        << report.text;
    EXPECT_NE(report.text.find("(/dev/null) is still open"), std::string::npos) << report.text;
}

TEST(ModuleCheck, PassesACorrectModule) {
    const auto directory = std::filesystem::temp_directory_path() / ("flowd-check-" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory);
    // Under the name that its note tells.
    std::filesystem::copy_file(std::string(FLOWD_ZOO_DIR) + "/good.so", directory / "zoo.so");
    const std::string module = (directory / "zoo.so").string();
    const Report report = run("--strict " + module);
    std::filesystem::remove_all(directory);
    EXPECT_EQ(report.status, 0) << report.text;
    EXPECT_EQ(report.text.find("FAIL"), std::string::npos) << report.text;
    EXPECT_NE(report.text.find(" 0 failed, 0 skipped\n"), std::string::npos) << report.text;
    EXPECT_NE(report.text.find("ok    status plugin/zoo: it does not offer flowd.status/1\n"), std::string::npos);
}

TEST(ModuleCheck, GivesEachCheckDirectoriesAndRemovesThem) {
    const auto directory = std::filesystem::temp_directory_path() / ("flowd-state-" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory);
    const Report report = run("--strict --filter '* plugin/zoo' " + unruly("keeps-state"), "TMPDIR=" + directory.string());
    EXPECT_EQ(report.status, 0) << report.text;
    EXPECT_NE(report.text.find("ok    core-bare plugin/zoo"), std::string::npos) << "a core without directories";
    EXPECT_TRUE(std::filesystem::is_empty(directory));
    std::filesystem::remove_all(directory);
}

TEST(ModuleCheck, CountsSkippedChecksAndFailsForThemIfStrict) {
    const std::string life = "--filter life " + unruly("fails-silently");
    const Report report = run(life);
    EXPECT_EQ(report.status, 0) << report.text;
    EXPECT_NE(report.text.find("skip  life plugin/zoo: start returned FLOWD_BUSY\n"), std::string::npos) << report.text;
    EXPECT_NE(report.text.find("1 checks: 0 passed, 0 failed, 1 skipped\n"), std::string::npos) << report.text;
    EXPECT_EQ(run("--strict " + life).status, 1);
}

TEST(ModuleCheck, ReportsAModuleThatDoesNotLoadOnce) {
    const Report report = run(std::string(FLOWD_ZOO_DIR) + "/missing-create.so");
    EXPECT_EQ(report.status, 1);
    const auto first = report.text.find("member 'create' is missing");
    ASSERT_NE(first, std::string::npos) << report.text;
    EXPECT_EQ(report.text.find("member 'create' is missing", first + 1), std::string::npos) << report.text;
}

/// What `text` says once; the rest of that component is not run.
TEST(ModuleCheck, ReportsRefusedOptionsOnce) {
    const Report report = run("--filter '*plugin/zoo' " + unruly("validates-nothing"));
    EXPECT_EQ(report.status, 1);
    const auto first = report.text.find("FAIL  options-defaults plugin/zoo: plugins.zoo: cannot be had\n");
    ASSERT_NE(first, std::string::npos) << report.text;
    EXPECT_EQ(report.text.find("cannot be had", first + 60), std::string::npos) << report.text;
    EXPECT_NE(report.text.find(" 1 failed, "), std::string::npos) << report.text;
}

TEST(ModuleCheck, OffersTheRegistry) {
    const auto directory = std::filesystem::temp_directory_path() / ("flowd-registry-" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory);
    const auto write = [&](const char* name, const std::string& text) {
        std::ofstream(directory / name) << text;
        return (directory / name).string();
    };
    const std::string names = write("registry.json", R"({"version": 1, "experiments": [{"expId": 2, "expName": "atlas",
        "activities": [{"activityId": 7, "activityName": "production"}]}]})");
    const std::string conf = write(
        "conf.yaml", "plugins:\n  zoo: {module: " + unruly("tagged") + ", experiment: atlas, activity: production}\n");
    const std::string rest = " --strict --filter options-defaults --conf " + conf + " " + unruly("tagged");
    const Report known = run("--registry " + names + rest);
    const Report unknown = run("--registry " + write("empty.json", R"({"version": 1, "experiments": []})") + rest);
    const Report missing = run("--registry /nowhere" + rest);
    std::filesystem::remove_all(directory);
    EXPECT_EQ(known.status, 0) << known.text;
    EXPECT_EQ(unknown.status, 1) << unknown.text;
    EXPECT_EQ(missing.status, 2) << missing.text;
}

TEST(ModuleCheck, ReportsTheDaemonsMessageForAModuleThatDoesNotLoad) {
    const Report report = run("--filter loads " + std::string(FLOWD_ZOO_DIR) + "/missing-create.so");
    EXPECT_EQ(report.status, 1);
    EXPECT_NE(report.text.find("FAIL  loads: plugin 'zoo': member 'create' is missing"), std::string::npos) << report.text;
}

TEST(ModuleCheck, ListsItsChecksWithDescriptions) {
    const Report report = run("--list " + unruly("leaks-thread"));
    EXPECT_EQ(report.status, 0);
    EXPECT_NE(report.text.find("threads-returned plugin/zoo: destroy leaves no thread running"), std::string::npos)
        << report.text;
}

TEST(ModuleCheck, InvalidCommandLinesExitWith2) {
    EXPECT_EQ(run("").status, 2);
    EXPECT_EQ(run("/nowhere/x.so").status, 2);
    EXPECT_EQ(run("--filter no-such-check " + unruly("leaks-thread")).status, 2);
    EXPECT_EQ(run("--help").status, 0);
}

}  // namespace
