// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ostream>
#include <set>

#include "core/base/files.hpp"
#include "core/cli/commands.hpp"
#include "core/cli/label.hpp"
#include "core/cli/registry_change.hpp"
#include "core/config/render.hpp"
#include "core/service/installation.hpp"
#include "flowd/json.hpp"
#include "flowd/label.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core::cli {
namespace {

/// Replaces the file atomically. An existing file keeps its mode and owner.
Result<void> replace_file(const std::filesystem::path& file, std::string_view text) {
    std::error_code error;
    std::filesystem::create_directories(file.parent_path(), error);
    if (error) return Error::from_errno(error.value(), file.parent_path().string());
    std::string temporary = file.string() + ".XXXXXX";
    const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
    if (!fd) return Error::from_errno(errno, file.parent_path().string());
    const auto fail = [&](const char* what) {
        Error failure = Error::from_errno(errno, temporary + ": " + what);
        (void)::unlink(temporary.c_str());
        return failure;
    };
    for (std::string_view rest = text; !rest.empty();) {
        const ssize_t written = ::write(fd.get(), rest.data(), rest.size());
        if (written < 0 && errno != EINTR) return fail("write");
        if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
    }
    struct stat old {};
    const bool exists = ::stat(file.c_str(), &old) == 0;
    if (exists && ::fchown(fd.get(), old.st_uid, old.st_gid) != 0) return fail("chown");
    if (::fchmod(fd.get(), exists ? old.st_mode & 07777 : 0644) != 0) return fail("chmod");
    if (::fsync(fd.get()) != 0) return fail("fsync");
    if (::rename(temporary.c_str(), file.c_str()) != 0) return fail("rename");
    const UniqueFd directory(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory) (void)::fsync(directory.get());
    return {};
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
        if (const auto replaced = replace_file(target, *content); !replaced) return output.fail(replaced.error());
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
