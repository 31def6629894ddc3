// SPDX-License-Identifier: Apache-2.0
// What a check looks at: one module file and, for most checks, one of its components with options. Loaded on demand, in
// the process of the check. One thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/config/configuration.hpp"
#include "core/modules/module_set.hpp"
#include "sdk/check/progress.hpp"

namespace flowd::check {

class Subject {
  public:
    struct Target {
        std::filesystem::path module;
        std::uint32_t kind = 0;  ///< 0: the module as a whole
        std::string component;
        std::string conf;  ///< a conf.yaml for this module's components; empty: what a table's defaults give
        const core::Registry* registry = nullptr;
    };

    Subject(Target target, Progress& progress) : target_(std::move(target)), progress_(progress) {}

    [[nodiscard]] const Target& target() const { return target_; }
    [[nodiscard]] Progress& progress() { return progress_; }
    [[nodiscard]] core::ModuleSet& set() { return set_; }
    [[nodiscard]] const core::Registry& registry() const { return target_.registry ? *target_.registry : no_registry_; }

    /// The loaded module.
    [[nodiscard]] Result<core::Module*> module();
    /// The component, checked by the loader. For checks of a component.
    [[nodiscard]] Result<const core::Component*> component();
    /// The options of the component: of --conf, or defaults. FLOWD_NOT_FOUND: it has required options and --conf has no
    /// instance of it; anything else: these options are refused.
    [[nodiscard]] Result<const core::InstanceConfig*> config();

  private:
    Target target_;
    Progress& progress_;
    core::ModuleSet set_{core::TrustPolicy{::geteuid(), false}};
    core::Catalog catalog_;
    core::Registry no_registry_;
    std::optional<core::LoadedConfiguration> loaded_;
};

}  // namespace flowd::check
