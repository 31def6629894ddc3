// SPDX-License-Identifier: Apache-2.0
// The paths of the files of this installation, relative to the executable, so that a build tree, a DESTDIR and an
// installed prefix work in the same way: PREFIX/bin/flowd-cpp, PREFIX/lib*/flowd-cpp/modules, PREFIX/share/flowd-cpp. A
// build tree is laid out like a prefix. Any thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace flowd::core {

struct InstallPaths {
    std::filesystem::path prefix;
    /// Directories with modules of packages; only existing ones, or the default one if none exists.
    std::vector<std::filesystem::path> module_directories;

    [[nodiscard]] std::filesystem::path share() const { return prefix / "share/flowd-cpp"; }
    [[nodiscard]] std::filesystem::path catalog() const { return share() / "catalog.yaml"; }
    [[nodiscard]] std::filesystem::path packaged_registry() const { return share() / "registry.json"; }
    /// Written by `registry update`, so that the package's own file stays as it is.
    [[nodiscard]] std::filesystem::path site_registry() const;
    /// The site's registry if it exists, otherwise that of the package.
    [[nodiscard]] std::filesystem::path registry() const;
    [[nodiscard]] std::filesystem::path templates() const { return share() / "template"; }
};

/// The paths for the running program.
[[nodiscard]] InstallPaths install_paths();
/// The paths for an executable PREFIX/{bin,sbin,libexec}/NAME.
[[nodiscard]] InstallPaths install_paths(const std::filesystem::path& executable);

/// The directories to search for modules, in this order: those of --modules, those of the configuration's `modules`, then
/// those of FLOWD_MODULE_PATH (separated by colons) or, if it is not set, those of the installation. No duplicates.
[[nodiscard]] std::vector<std::filesystem::path> module_search_path(const InstallPaths& paths,
                                                                    const std::vector<std::string>& command_line,
                                                                    const std::vector<std::string>& configured = {});

}  // namespace flowd::core
