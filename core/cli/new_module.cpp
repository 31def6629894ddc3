// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
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

/// Who has this name already, as the beginning of a sentence; empty: nobody.
std::string holder_of(const NewModule& request, Installation& installation, const std::vector<std::string>& commands) {
    if (std::find(commands.begin(), commands.end(), request.name) != commands.end())
        return "flowd-cpp has a command \"" + request.name + "\"";
    // `complete` is a hidden command, `period` an option of the section `enrichers`, flowd_module a type of the ABI, which
    // the namespace of the template would be called.
    for (const char* const word : {"complete", "period", "flowd"})
        if (request.name == word) return "the daemon itself uses the name \"" + request.name + "\"";
    const std::string has = " has a " + request.kind + " with the name or alias \"" + request.name + "\"";
    const std::uint32_t kind = kind_of(request.kind);
    if (const Catalog::Entry* const entry = installation.catalog().find(kind, request.name))
        return "the package " + entry->package + has;
    ModuleSet& installed = installation.scan_modules();
    if (const Module* const module = installed.holder(kind, request.name)) return module->path.string() + has;
    if (const Module* const module = installed.find_module(request.kind + "-" + request.name))
        return module->path.string() + " has the name of the new module";
    return {};
}

/// One word of a shell's command line.
std::string shell_word(std::string word) {
    const auto plain = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("/._-+").find(c) != std::string_view::npos;
    };
    if (std::all_of(word.begin(), word.end(), plain)) return word;
    for (std::size_t at = word.find('\''); at != std::string::npos; at = word.find('\'', at + 4))
        word.replace(at, 1, "'\\''");
    return "'" + printable(word) + "'";
}

}  // namespace

ExitCode make_module(const NewModule& request, Installation& installation, const std::vector<std::string>& commands,
                     const Output& output) {
    if (!is_identifier(request.name, 32)) {
        return output.fail(ExitCode::usage, "\"" + request.name + "\" cannot be the name of a component",
                           "a lower-case letter, then up to 31 lower-case letters and digits: \"mysource\"");
    }
    if (const std::string holder = holder_of(request, installation, commands); !holder.empty())
        return output.fail(ExitCode::busy, holder, "choose another name");
    const InstallPaths& paths = installation.paths();
    const fs::path templates = paths.templates() / request.language / request.kind;
    if (!fs::is_directory(templates)) {
        return output.fail(ExitCode::absent, "the template " + templates.string() + " is not installed",
                           "it is in the package flowd-cpp-devel (RPM) or flowd-cpp-dev (Debian)");
    }
    const std::string module = request.kind + "-" + request.name;
    const fs::path directory = request.directory.empty() ? fs::path(module) : fs::path(request.directory);
    std::error_code error;
    if (fs::exists(directory, error) && !(fs::is_directory(directory, error) && fs::is_empty(directory, error))) {
        return output.fail(ExitCode::busy, directory.string() + " exists and is not an empty directory",
                           "name another one: flowd-cpp new-module " + request.name + " --kind " + request.kind + " DIR");
    }
    // With the kind, no name gives the class the name of another one: a plugin "config" is ConfigPlugin.
    std::string type = request.name + request.kind;
    for (const std::size_t at : {std::size_t{0}, request.name.size()}) type[at] = static_cast<char>(type[at] - 'a' + 'A');
    const Replacements replacements{{"@NAME@", request.name}, {"@CLASS@", type}, {"@KIND@", request.kind}};
    for (const fs::path& from : {paths.templates() / "common", paths.templates() / request.kind,
                                 paths.templates() / request.language / "common", templates})
        if (auto copied = copy_tree(from, directory, replacements); !copied) return output.fail(copied.error());

    const std::string where = shell_word(directory.string());
    output.out << "Wrote the " << request.kind << " \"" << request.name << "\" to " << where << ". Next:\n\n"
               << "  cmake -S " << where << " -B " << where << "/build && cmake --build " << where << "/build\n"
               << "  ctest --test-dir " << where << "/build --output-on-failure\n"
               << "  flowd-cpp modules info " << module << " --modules " << where << "/build\n\n"
               << "README.md in it says what to change first and how to run it.\n";
    return ExitCode::ok;
}

}  // namespace flowd::core::cli
