// SPDX-License-Identifier: Apache-2.0
// The installed modules with their states. Finds the component for a name in the configuration.
// Main thread only. A module's code is never unloaded, so a `const flowd_component*` is valid as long as the ModuleSet.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/trust.hpp"
#include "core/config/component_lookup.hpp"
#include "core/modules/component_check.hpp"
#include "core/modules/module.hpp"

namespace flowd::core {

class ModuleSet : public ComponentLookup {
  public:
    explicit ModuleSet(TrustPolicy trust = {}) : trust_(trust) {}

    /// Reads the notes of every *.so in the directories, in order of precedence (see module_search_path()). Files whose
    /// names were found in an earlier directory are ignored. May be repeated (reload): new files are added, loaded modules
    /// stay as they are, the others are read again. A directory that does not exist is treated as empty.
    void scan(const std::vector<std::filesystem::path>& directories);

    /// All known modules by file name.
    [[nodiscard]] const std::vector<std::unique_ptr<Module>>& modules() const { return modules_; }
    /// Finds by file name with or without ".so", name in the note, or path; null if there is none. For `modules info`.
    [[nodiscard]] Module* find_module(std::string_view name);

    /// Modules with a component of this name, of any kind; if there are none, modules with a component of this alias.
    [[nodiscard]] std::vector<Module*> offering(std::string_view name) const;

    /// The module that find() uses for this component, without loading it; null if there is none.
    [[nodiscard]] Module* holder(std::uint32_t kind, std::string_view name) const;

    /// Loads a module unless it is loaded or has failed: trust, dlopen, descriptor, components, note. The result is also
    /// stored as its state. Needs no privileges.
    Result<void> load(Module& module);
    /// Loads the file, which need not be in a searched directory.
    [[nodiscard]] Result<Module*> load_file(const std::filesystem::path& path);
    /// Loaded modules whose file was replaced or removed since: the loaded code remains in use.
    [[nodiscard]] std::vector<std::filesystem::path> changed_files() const;
    /// Loads all modules. For `modules list --load` and tests.
    void load_all();

    // ComponentLookup
    [[nodiscard]] Result<FoundComponent> find(std::uint32_t kind, std::string_view name,
                                              std::string_view module_path) override;
    [[nodiscard]] std::vector<std::string> names(std::uint32_t kind) const override;

  private:
    [[nodiscard]] Result<FoundComponent> find_in(Module& module, std::uint32_t kind, std::string_view name);
    [[nodiscard]] Result<Descriptor> open(const Module& module) const;

    TrustPolicy trust_;
    std::vector<std::unique_ptr<Module>> modules_;
};

}  // namespace flowd::core
