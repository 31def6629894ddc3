// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <ostream>

#include "core/base/text.hpp"
#include "core/cli/commands.hpp"
#include "core/config/render.hpp"
#include "core/config/tag_text.hpp"
#include "core/host/findings.hpp"
#include "core/service/explain.hpp"
#include "core/service/installation.hpp"
#include "core/service/own_findings.hpp"
#include "core/service/problem_exit.hpp"
#include "core/service/status_json.hpp"
#include "flowd/counted.hpp"
#include "flowd/event.hpp"
#include "flowd/json.hpp"

namespace flowd::core::cli {
namespace {

constexpr std::size_t most_tags = 32;  // in the text; JSON has all

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

void log_line(const Output& output, std::string_view instance, flowd_level level, std::string_view line) {
    if (level < FLOWD_LEVEL_INFO) return;
    output.err << instance << ": "
               << (level >= FLOWD_LEVEL_ERROR     ? "error: "
                   : level >= FLOWD_LEVEL_WARNING ? "warning: "
                                                  : "")
               << printable(line) << '\n';
}

bool has_error(const FindingsBoard::All& all) {
    return std::any_of(all.begin(), all.end(), [](const auto& entry) {
        return std::any_of(entry.second.begin(), entry.second.end(),
                           [](const Finding& one) { return one.severity >= FLOWD_LEVEL_ERROR; });
    });
}

/// The tags that the configuration gives: by name, a number that means another tag is noticed.
std::vector<ConfiguredTag> tags_of(const LoadedConfiguration& loaded) {
    std::vector<ConfiguredTag> all;
    if (!loaded.configuration) return all;
    const auto same = [](const ConfiguredTag& one, const ConfiguredTag& other) {
        return one.path == other.path && same_tag(one.tag, other.tag);
    };
    for (const InstanceConfig& instance : loaded.configuration->instances)
        for (ConfiguredTag& one : configured_tags(instance, {})) {
            const bool is_none = one.tag.experiment == 0 && one.tag.activity == 0;
            const bool is_known = std::any_of(all.begin(), all.end(), [&](const auto& other) { return same(one, other); });
            if (!is_none && !is_known) all.push_back(std::move(one));
        }
    return all;
}

std::string tag_notes(const std::vector<ConfiguredTag>& tags, const Registry& registry) {
    std::string text;
    for (std::size_t i = 0; i < std::min(tags.size(), most_tags); ++i)
        text += tags[i].place + ": note: " + tags[i].path + ": " + tag_in_words(tags[i].tag, registry) + '\n';
    if (tags.size() > most_tags) text += "note: and " + counted(tags.size() - most_tags, "more tag") + '\n';
    return text;
}

/// Checks with the caller's privileges, which may differ from the daemon's. Log lines of modules go to standard error.
LoadedConfiguration load(Installation& installation, const GlobalOptions& options, const Output& output) {
    return installation.load(options.conf, {true, [&](std::string_view instance, flowd_level level, std::string_view line) {
                                                log_line(output, instance, level, line);
                                            }});
}

/// If a configuration is refused without an error, the core has a defect; this must not look like success.
ExitCode verdict(const LoadedConfiguration& loaded) {
    if (loaded.configuration) return ExitCode::ok;
    const ExitCode code = exit_code_of(loaded.problems);
    return code == ExitCode::ok ? ExitCode::failure : code;
}

}  // namespace

FindingsBoard::All look_at_host(const Configuration& configuration, const Registry& registry, const Output& output) {
    FindingsBoard::All all;
    if (!is_clock_synchronised()) all[OwnFindings::instance].push_back(clock_finding());
    std::vector<OfflineHost::Interface> interfaces;
    const auto look_at = [&](const InstanceConfig& instance) {
        const std::string name = std::string(kind_name(instance.kind)) + " " + instance.key;
        auto found = host_findings(
            instance, registry, [&](flowd_level level, std::string_view line) { log_line(output, name, level, line); },
            &interfaces);
        if (!found.empty()) all[name] = std::move(found);
    };
    // Backends first: meters should cover the interfaces that they mark.
    for (const bool backends : {true, false})
        for (const InstanceConfig& instance : configuration.instances)
            if ((instance.kind == FLOWD_BACKEND) == backends) look_at(instance);
    return all;
}

ExitCode check(const GlobalOptions& options, const Output& output, bool host) {
    Installation installation(install_paths(), options.modules);
    const LoadedConfiguration loaded = load(installation, options, output);
    const auto found = host && loaded.configuration ? look_at_host(*loaded.configuration, installation.registry(), output)
                                                    : FindingsBoard::All();
    const auto tags = tags_of(loaded);
    if (output.json) {
        std::string text;
        json::Writer writer(text);
        writer.object().member("file", options.conf).member("usable", loaded.configuration.has_value());
        writer.key("problems");
        write_problems(writer, loaded.problems);
        writer.key("tags").array();
        for (const ConfiguredTag& one : tags)
            writer.object()
                .member("option", one.path)
                .member("place", one.place)
                .member("experiment", experiment_text(one.tag, installation.registry()))
                .member("activity", activity_text(one.tag, installation.registry()))
                .member("experimentId", one.tag.experiment)
                .member("activityId", one.tag.activity)
                .end();
        writer.end();
        // Findings about the configuration repeat problems, which have a location as well.
        auto all = found;
        for (Finding& one : findings_of(loaded.problems)) all[OwnFindings::instance].push_back(std::move(one));
        writer.key("findings").raw(findings_json(all));
        writer.end();
        output.answer(text);
    } else {
        output.out << loaded.problems.to_string() << tag_notes(tags, installation.registry()) << summary(options, loaded)
                   << '\n';
        if (!found.empty()) output.answer(findings_json(found));
    }
    const ExitCode code = verdict(loaded);
    return code == ExitCode::ok && has_error(found) ? ExitCode::failure : code;
}

ExitCode show_configuration(const GlobalOptions& options, const Output& output) {
    Installation installation(install_paths(), options.modules);
    const LoadedConfiguration loaded = load(installation, options, output);
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
