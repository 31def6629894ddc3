// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fstream>
#include <ostream>
#include <system_error>
#include <utility>

#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/cli/commands.hpp"

namespace flowd::core::cli {
namespace fs = std::filesystem;

namespace {

using Replacements = std::vector<std::pair<std::string, std::string>>;

std::string replaced(std::string text, const Replacements& replacements) {
    for (const auto& [from, to] : replacements) {
        for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
            text.replace(at, from.size(), to);
        }
    }
    return text;
}

Result<void> write_file(const fs::path& from, const fs::path& to, const Replacements& replacements) {
    const auto text = read_file(from);
    if (!text) return text.error();
    std::ofstream target(to, std::ios::binary);
    target << replaced(*text, replacements);
    target.close();
    if (!target)
        return Error{FLOWD_DENIED, "cannot write " + to.string(),
                     "check the permissions and the free space of the directory"};
    std::error_code ignored;  // scripts of the template stay executable, if the file system supports modes
    fs::permissions(to, fs::status(from, ignored).permissions(), ignored);
    return {};
}

Result<void> copy_tree(const fs::path& from, const fs::path& to, const Replacements& replacements) {
    std::error_code error;
    fs::create_directories(to, error);
    if (error) return Error{FLOWD_DENIED, "cannot create " + to.string() + ": " + error.message()};
    for (fs::recursive_directory_iterator it(from, error), end; !error && it != end; it.increment(error)) {
        const fs::path target = to / replaced(fs::relative(it->path(), from).string(), replacements);
        if (it->is_directory()) {
            fs::create_directories(target, error);
        } else if (auto written = write_file(it->path(), target, replacements); !written) {
            return written;
        }
    }
    if (error) return Error{FLOWD_ERROR, "cannot copy " + from.string() + ": " + error.message()};
    return {};
}

/// The installed module that the daemon would find for this name; null: there is none.
const Module* holder_of(const NewModule& request, const ModuleSet& installed) {
    for (const auto& module : installed.modules()) {
        for (const NoteComponent& component : module->note.components) {
            if (component.kind != kind_of(request.kind)) continue;
            const auto& aliases = component.aliases;
            if (component.name == request.name || std::find(aliases.begin(), aliases.end(), request.name) != aliases.end())
                return module.get();
        }
    }
    return nullptr;
}

}  // namespace

ExitCode make_module(const NewModule& request, const InstallPaths& paths, const ModuleSet& installed,
                     const Output& output) {
    if (!is_identifier(request.name, 32)) {
        return output.fail(ExitCode::usage, "\"" + request.name + "\" cannot be the name of a component",
                           "a lower-case letter, then up to 31 lower-case letters and digits: \"mysource\"");
    }
    if (const Module* const taken = holder_of(request, installed)) {
        return output.fail(
            ExitCode::busy,
            taken->path.string() + " has a " + request.kind + " with the name or alias \"" + request.name + "\"",
            "choose another name: the daemon would load one of the two");
    }
    const fs::path templates = paths.templates() / request.language / request.kind;
    if (!fs::is_directory(templates)) {
        return output.fail(ExitCode::absent, "the template " + templates.string() + " is not installed",
                           "it is in the package flowd-cpp-devel");
    }
    const std::string module = request.kind + "-" + request.name;
    const fs::path directory = request.directory.empty() ? fs::path(module) : fs::path(request.directory);
    std::error_code error;
    if (fs::exists(directory, error) && !(fs::is_directory(directory, error) && fs::is_empty(directory, error))) {
        return output.fail(ExitCode::busy, directory.string() + " exists and is not an empty directory",
                           "name another one: flowd-cpp new-module " + request.name + " --kind " + request.kind + " DIR");
    }
    std::string type = request.name;
    type.front() = static_cast<char>(type.front() - 'a' + 'A');
    const Replacements replacements{{"@NAME@", request.name}, {"@CLASS@", type}, {"@KIND@", request.kind}};
    for (const fs::path& from : {paths.templates() / "common", paths.templates() / request.kind,
                                 paths.templates() / request.language / "common", templates})
        if (auto copied = copy_tree(from, directory, replacements); !copied) return output.fail(copied.error());

    const std::string where = directory.string();
    output.out << "Wrote the " << request.kind << " \"" << request.name << "\" to " << where << ". Next:\n\n"
               << "  cmake -S " << where << " -B " << where << "/build && cmake --build " << where << "/build\n"
               << "  ctest --test-dir " << where << "/build --output-on-failure\n"
               << "  flowd-cpp modules info " << module << " --modules " << where << "/build\n\n"
               << "README.md in it says what to change first and how to run it.\n";
    return ExitCode::ok;
}

}  // namespace flowd::core::cli
