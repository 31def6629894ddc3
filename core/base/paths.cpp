// SPDX-License-Identifier: Apache-2.0
#include "core/base/paths.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <system_error>

#ifndef FLOWD_LIBDIR
#define FLOWD_LIBDIR "lib"
#endif

namespace flowd::core {
namespace fs = std::filesystem;

namespace {

void add_once(std::vector<fs::path>& list, const fs::path& directory) {
    if (directory.empty()) return;
    fs::path normal = directory.lexically_normal();
    if (!normal.has_filename()) normal = normal.parent_path();
    if (std::find(list.begin(), list.end(), normal) == list.end()) list.push_back(std::move(normal));
}

}  // namespace

fs::path InstallPaths::site_registry() const {
    return (prefix == "/usr" ? "/etc" : prefix / "etc") / "flowd-cpp/registry.json";
}

fs::path InstallPaths::registry() const {
    std::error_code ignored;
    return fs::exists(site_registry(), ignored) ? site_registry() : packaged_registry();
}

InstallPaths install_paths(const fs::path& executable) {
    InstallPaths paths;
    paths.prefix = executable.parent_path().parent_path();
    // FLOWD_LIBDIR is what this build installs into (lib64, lib/x86_64-linux-gnu); the others are what a build tree and
    // a package of a third party may use.
    for (const char* library : {FLOWD_LIBDIR, "lib", "lib64"}) {
        const fs::path directory = paths.prefix / library / "flowd-cpp/modules";
        std::error_code ignored;
        if (fs::is_directory(directory, ignored)) add_once(paths.module_directories, directory);
    }
    if (paths.module_directories.empty())
        paths.module_directories.push_back(paths.prefix / FLOWD_LIBDIR / "flowd-cpp/modules");
    return paths;
}

InstallPaths install_paths() {
    std::error_code error;
    const fs::path executable = fs::read_symlink("/proc/self/exe", error);
    return install_paths(error ? fs::path("/usr/bin/flowd-cpp") : executable);
}

std::vector<fs::path> module_search_path(const InstallPaths& paths, const std::vector<std::string>& command_line,
                                         const std::vector<std::string>& configured) {
    std::vector<fs::path> found;
    for (const std::string& directory : command_line) add_once(found, fs::absolute(directory));
    for (const std::string& directory : configured) add_once(found, fs::absolute(directory));
    if (const char* variable = std::getenv("FLOWD_MODULE_PATH"); variable != nullptr && *variable != '\0') {
        for (std::string_view rest = variable; !rest.empty();) {
            const std::size_t colon = rest.find(':');
            const std::string_view directory = rest.substr(0, colon);
            if (!directory.empty()) add_once(found, fs::absolute(directory));
            rest = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon + 1);
        }
    } else {
        for (const fs::path& directory : paths.module_directories) add_once(found, directory);
    }
    return found;
}

}  // namespace flowd::core
