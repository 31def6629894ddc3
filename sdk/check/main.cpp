// SPDX-License-Identifier: Apache-2.0
// flowd-module-check: the conformance suite for modules. Exit codes: 0 nothing failed, 1 a check failed (or, with --strict,
// was skipped), 2 usage.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>

#include "core/base/paths.hpp"
#include "core/modules/describe.hpp"
#include "core/modules/module_set.hpp"
#include "flowd/json.hpp"
#include "sdk/check/runner.hpp"

namespace {

using flowd::check::Outcome;
using flowd::check::Ran;
using Verdict = Outcome::Verdict;

const char* word(Verdict verdict) {
    return verdict == Verdict::passed ? "passed" : verdict == Verdict::failed ? "failed" : "skipped";
}

void print(const Ran& ran) {
    if (ran.outcome.verdict == Verdict::skipped && ran.outcome.message.empty()) return;  // the reason was printed before
    const char* mark = ran.outcome.verdict == Verdict::passed   ? "ok  "
                       : ran.outcome.verdict == Verdict::failed ? "FAIL"
                                                                : "skip";
    std::printf("%s  %s%s%s\n", mark, ran.name.c_str(), ran.outcome.message.empty() ? "" : ": ",
                ran.outcome.message.c_str());
    std::fflush(stdout);
}

void list(const std::vector<flowd::check::Plan>& plans) {
    for (const auto& plan : plans) std::printf("%s: %s\n", plan.name().c_str(), std::string(plan.check.promise).c_str());
}

struct Counts {
    std::size_t passed = 0;
    std::size_t failed = 0;
    std::size_t skipped = 0;
};

Counts count(const std::vector<Ran>& results) {
    Counts counts;
    for (const Ran& ran : results)
        ++(ran.outcome.verdict == Verdict::passed   ? counts.passed
           : ran.outcome.verdict == Verdict::failed ? counts.failed
                                                    : counts.skipped);
    return counts;
}

std::string to_json(const std::string& module, const std::vector<Ran>& results, const Counts& counts) {
    std::string text;
    flowd::json::Writer writer(text);
    writer.object().member("module", module).key("checks").array();
    for (const Ran& ran : results) {
        writer.object().member("name", ran.name).member("promise", ran.promise).member("result", word(ran.outcome.verdict));
        writer.member("message", ran.outcome.message).member("milliseconds", ran.took.count()).end();
    }
    writer.end().member("passed", counts.passed).member("failed", counts.failed).member("skipped", counts.skipped).end();
    return text;
}

/// What `flowd-cpp modules info` tells of an installed module, of one that was just built wherever it is.
int describe(const std::string& file) {
    flowd::core::ModuleSet set{flowd::core::TrustPolicy{::geteuid(), false}};
    const auto loaded = set.load_file(file);
    if (!loaded) {
        std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
        return 1;
    }
    std::printf("%s\n", flowd::core::describe_module(**loaded).c_str());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Checks that a flowd-cpp module conforms to the module ABI. Every check runs in a separate process.");
    std::string module, filter, conf;
    std::string registry_file = flowd::core::install_paths().registry().string();
    bool json = false, only_list = false, only_describe = false, strict = false;
    int seconds = 15;
    app.add_option("module", module, "The module, KIND-NAME.so")->required()->type_name("FILE");
    app.add_option("--conf", conf,
                   "A conf.yaml with options for the components of this module only; default: the default options")
        ->check(CLI::ExistingFile);
    app.add_option("--registry", registry_file, "Registry of experiments and activities")->capture_default_str();
    app.add_flag("--strict", strict, "Skipped checks count as failed");
    app.add_option("--filter", filter, "Run only checks whose name matches this shell pattern: 'stop-*', '* backend/x'");
    app.add_option("--timeout", seconds, "Time limit of a check in seconds")
        ->check(CLI::Range(1, 600))
        ->capture_default_str();
    app.add_flag("--list", only_list, "List the checks with their rules; run none");
    app.add_flag("--describe", only_describe, "Print the option tables of the module as JSON; run no check");
    app.add_flag("--json", json, "Print the report as JSON");
    app.footer(
        "Exit codes: 0 nothing failed, 1 a check failed or, with --strict, was skipped, 2 the command line is wrong.\n"
        "The checks start instances with the default options, or with those of --conf.");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    std::error_code absent;
    if (!std::filesystem::exists(module, absent)) {
        std::fprintf(stderr, "%s: no such file\n", module.c_str());
        return 2;
    }
    if (only_describe) return describe(std::filesystem::absolute(module).string());
    // Without the installed registry, which a build tree may lack, names are unknown; one that was asked for has to be
    // there.
    auto registry = flowd::core::Registry::load(registry_file);
    if (!registry && app.count("--registry") > 0) {
        std::fprintf(stderr, "%s: %s\n", registry_file.c_str(), registry.error().message.c_str());
        return 2;
    }
    const flowd::core::Registry names = registry ? std::move(registry).value() : flowd::core::Registry();
    const auto plans = flowd::check::plan({module, 0, {}, conf, &names}, filter);
    if (plans.empty()) {
        std::fprintf(stderr, "no check matches --filter '%s'; --list names them\n", filter.c_str());
        return 2;
    }
    if (only_list) {
        list(plans);
        return 0;
    }
    const std::vector<Ran> results = flowd::check::run(plans, std::chrono::seconds(seconds), [json](const Ran& ran) {
        if (!json) print(ran);
    });
    const Counts counts = count(results);
    if (json)
        std::printf("%s\n", to_json(module, results, counts).c_str());
    else
        std::printf("%zu checks: %zu passed, %zu failed, %zu skipped\n", results.size(), counts.passed, counts.failed,
                    counts.skipped);
    return counts.failed > 0 || (strict && counts.skipped > 0) ? 1 : 0;
}
