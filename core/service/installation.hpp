// SPDX-License-Identifier: Apache-2.0
// The files of this installation: registry, catalog and modules. Reads configurations with them, in the same way for the
// daemon, a reload and the commands that only check. Main thread only.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/paths.hpp"
#include "core/config/configuration.hpp"
#include "core/modules/module_set.hpp"

namespace flowd::core {

class Installation {
  public:
    /// `module_directories` are those of --modules.
    explicit Installation(InstallPaths paths = install_paths(), std::vector<std::string> module_directories = {},
                          TrustPolicy trust = {});

    /// Reads the registry and the catalog again, except the first time, then the configuration. A missing or invalid
    /// registry or catalog is a warning: ids instead of names, and modules by name, work without them. May be called again.
    /// The result contains pointers into this object: keep it as long as the configuration.
    struct Loading {
        bool may_lack_rights = false;  ///< as in LoadContext, both
        decltype(LoadContext::log) log = {};
        const Registry* registry = nullptr;  ///< replaces the installed one
    };
    [[nodiscard]] LoadedConfiguration load(const std::filesystem::path& conf) { return load(conf, Loading()); }
    [[nodiscard]] LoadedConfiguration load(const std::filesystem::path& conf, const Loading& loading);

    /// The same for text in memory, without conf.d; `name` replaces the file name in messages. With the caller's rights.
    [[nodiscard]] LoadedConfiguration parse(std::string_view text, const std::string& name);

    /// For commands without a configuration: searches the directories of the command line and the installation.
    ModuleSet& scan_modules();

    [[nodiscard]] ModuleSet& modules() { return modules_; }
    [[nodiscard]] const Registry& registry() const { return registry_; }
    [[nodiscard]] const Catalog& catalog() const { return catalog_; }
    [[nodiscard]] const InstallPaths& paths() const { return paths_; }
    /// Problems of the registry and the catalog when they were last read.
    [[nodiscard]] const Problems& warnings() const { return warnings_; }

  private:
    void read_data_files();
    void warn_of_old_registry();
    [[nodiscard]] LoadContext context(const Loading& loading);

    InstallPaths paths_;
    std::vector<std::string> module_directories_;
    TrustPolicy trust_;
    Registry registry_;
    Catalog catalog_;
    ModuleSet modules_;
    Problems warnings_;
    bool is_fresh_ = true;  // registry and catalog were read by the constructor
};

}  // namespace flowd::core
