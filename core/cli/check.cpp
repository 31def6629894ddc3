// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <ostream>

#include "core/cli/commands.hpp"
#include "core/config/render.hpp"
#include "core/service/installation.hpp"
#include "core/service/problem_exit.hpp"
#include "flowd/json.hpp"

namespace flowd::core::cli {
namespace {

std::string counted(std::size_t count, const char* what) {
    return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
}

std::string summary(const GlobalOptions& options, const LoadedConfiguration& loaded) {
    const auto instances = [&](std::uint32_t kind) {
        const auto& all = loaded.configuration->instances;
        const auto count = std::count_if(all.begin(), all.end(), [kind](const auto& one) { return one.kind == kind; });
        return counted(static_cast<std::size_t>(count), kind_name(kind));
    };
    const std::size_t warnings = loaded.problems.size() - loaded.problems.errors();
    if (!loaded.configuration) {
        return options.conf + ": not usable: " + counted(loaded.problems.errors(), "error") + ", " +
               counted(warnings, "warning");
    }
    return options.conf + ": usable: " + instances(FLOWD_PLUGIN) + ", " + instances(FLOWD_BACKEND) + ", " +
           instances(FLOWD_ENRICHER) + "; " + counted(warnings, "warning");
}

void write_problems(json::Writer& writer, const Problems& problems) {
    writer.array();
    for (const Problem& problem : problems) problem.write(writer);
    writer.end();
}

/// A configuration that is refused without an error would be a defect of ours; it must not look like success.
ExitCode verdict(const LoadedConfiguration& loaded) {
    if (loaded.configuration) return ExitCode::ok;
    const ExitCode code = exit_code_of(loaded.problems);
    return code == ExitCode::ok ? ExitCode::failure : code;
}

}  // namespace

ExitCode check(const GlobalOptions& options, const Output& output) {
    Installation installation(install_paths(), options.modules);
    const LoadedConfiguration loaded = installation.load(options.conf);
    if (output.json) {
        std::string text;
        json::Writer writer(text);
        writer.object().member("file", options.conf).member("usable", loaded.configuration.has_value());
        writer.key("problems");
        write_problems(writer, loaded.problems);
        writer.end();
        output.answer(text);
    } else {
        output.out << loaded.problems.to_string() << summary(options, loaded) << '\n';
    }
    return verdict(loaded);
}

ExitCode show_configuration(const GlobalOptions& options, const Output& output) {
    Installation installation(install_paths(), options.modules);
    const LoadedConfiguration loaded = installation.load(options.conf);
    output.err << loaded.problems.to_string();
    if (!loaded.configuration) return verdict(loaded);
    if (output.json) {
        std::string text;
        json::Writer writer(text);
        write_effective_json(writer, *loaded.configuration);
        output.answer(text);
    } else {
        output.out << effective_yaml(*loaded.configuration, installation.registry());
    }
    return ExitCode::ok;
}

}  // namespace flowd::core::cli
