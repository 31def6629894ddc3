// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <ostream>
#include <set>

#include "core/base/files.hpp"
#include "core/base/replace_file.hpp"
#include "core/cli/commands.hpp"
#include "core/cli/label.hpp"
#include "core/cli/registry_change.hpp"
#include "core/config/render.hpp"
#include "core/service/installation.hpp"
#include "flowd/json.hpp"
#include "flowd/label.hpp"

namespace flowd::core::cli {
namespace {

Result<void> replace_registry(const std::filesystem::path& file, std::string_view text) {
    std::error_code error;
    std::filesystem::create_directories(file.parent_path(), error);
    if (error) return Error::from_errno(error.value(), "creating " + file.parent_path().string());
    return replace_file(file, text, {0644, {}});
}

/// Problems of the configuration with the new registry that it does not have at present: tags that are removed.
Problems consequences(const GlobalOptions& options, const Registry& registry) {
    const auto load = [&](const Registry* instead) {
        Installation installation(install_paths(), options.modules);
        Installation::Loading loading{true, {}};
        loading.registry = instead;
        return installation.load(options.conf, loading).problems;
    };
    std::multiset<std::string> before;
    for (const Problem& problem : load(nullptr)) before.insert(problem.to_string());
    Problems added;
    for (const Problem& problem : load(&registry))
        if (!before.contains(problem.to_string())) added.add(problem);
    return added;
}

void write_change(json::Writer& writer, const RegistryChange& change) {
    writer.object().member("change", change.kind).member("experiment", change.tag.experiment);
    if (change.is_activity) writer.member("activity", change.tag.activity);
    if (!change.before.empty()) writer.member("before", change.before);
    if (!change.after.empty()) writer.member("after", change.after);
    writer.end();
}

}  // namespace

ExitCode list_registry(const Output& output) {
    const Installation installation;
    output.err << installation.warnings().to_string();
    std::string text;
    json::Writer writer(text);
    writer.array();
    for (const auto& [id, experiment] : installation.registry().experiments())
        writer.object()
            .member("experiment", id)
            .member("name", experiment.name)
            .member("activities", experiment.activities.size())
            .end();
    writer.end();
    output.answer(text);
    return installation.registry().experiments().empty() ? ExitCode::failure : ExitCode::ok;
}

ExitCode show_experiment(const Output& output, const std::string& experiment) {
    const Installation installation;
    output.err << installation.warnings().to_string();
    const Registry& registry = installation.registry();
    const auto id = experiment_of(experiment, registry);
    if (!id) return output.fail(ExitCode::usage, id.error().message, id.error().hint);
    const auto entry = registry.experiments().find(*id);
    if (entry == registry.experiments().end())
        return output.fail(ExitCode::usage, "experiment " + experiment + " is not in the registry",
                           "flowd-cpp registry list shows them");
    std::string text;
    json::Writer writer(text);
    writer.object().member("experiment", *id).member("name", entry->second.name).key("activities").array();
    for (const auto& [activity, name] : entry->second.activities) {
        const flowd_tag tag{*id, activity};
        writer.object().member("activity", activity).member("name", name).member("scitag", label::scitag(tag));
        if (const auto encoded = label::encode(tag)) writer.member("label", label_text(*encoded));
        writer.end();
    }
    writer.end().end();
    output.answer(text);
    return ExitCode::ok;
}

ExitCode update_registry(const GlobalOptions& options, const Output& output, const RegistryUpdate& request) {
    const auto content = read_file(request.file);
    if (!content) return output.fail(content.error());
    auto next = Registry::parse(*content);
    if (!next) return output.fail(ExitCode::usage, request.file + ": " + next.error().message, next.error().hint);
    if (const auto usable = check_registry(*next); !usable)
        return output.fail(ExitCode::usage, request.file + ": " + usable.error().message, usable.error().hint);
    const Installation installation;
    const auto changes = changes_between(installation.registry(), *next);
    const Problems warnings = changes.empty() ? Problems() : consequences(options, *next);
    const std::filesystem::path target = installation.paths().site_registry();
    const bool replaces = !changes.empty() && !request.dry_run;
    if (replaces)
        if (const auto replaced = replace_registry(target, *content); !replaced) return output.fail(replaced.error());
    std::string text;
    json::Writer writer(text);
    writer.object().member("file", target.string()).member("replaced", replaces).key("changes").array();
    for (const RegistryChange& change : changes) write_change(writer, change);
    writer.end();
    if (output.json) {
        writer.key("warnings").array();
        for (const Problem& problem : warnings) problem.write(writer);
        writer.end();
    } else if (!warnings.empty()) {
        output.err << "with this registry, " << options.conf << " has:\n" << warnings.to_string();
    }
    if (replaces) writer.member("hint", "a running daemon reads it at the next reload: flowd-cpp reload");
    writer.end();
    output.answer(text);
    return ExitCode::ok;
}

}  // namespace flowd::core::cli
