// SPDX-License-Identifier: Apache-2.0
// The seam between configuration and modules. Implemented by the loader's ModuleSet, and by fakes in tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flowd/abi/module.h"
#include "flowd/result.hpp"

namespace flowd::core {

/// A component that a configuration may use.
struct FoundComponent {
    /// The core's own copy, complete and checked, of the module's struct (its members behind the module's size are zero).
    /// Lives as long as the process: modules are never unloaded.
    const flowd_component* component = nullptr;
    std::string module_path;  ///< the file it came from
};

/// Finds components by the names used in a configuration. Called by one thread at a time.
class ComponentLookup {
  public:
    virtual ~ComponentLookup() = default;

    /// Loads the module of a component if need be. `kind` is FLOWD_PLUGIN, FLOWD_BACKEND or FLOWD_ENRICHER; `name` is the
    /// component's name or one of its aliases; `module_path` names the file to take it from, empty: the installed ones.
    /// Errors: FLOWD_NOT_FOUND when no installed module (or not that file) has it; any other code when it is there but
    /// was refused: the message has the reason.
    [[nodiscard]] virtual Result<FoundComponent> find(std::uint32_t kind, std::string_view name,
                                                      std::string_view module_path) = 0;

    /// Names and aliases that the installed modules offer in this section, read from their notes without loading them.
    [[nodiscard]] virtual std::vector<std::string> names(std::uint32_t kind) const = 0;
};

/// "plugin", "backend", "enricher", and the section of the configuration they stand in.
[[nodiscard]] constexpr const char* kind_name(std::uint32_t kind) {
    return kind == FLOWD_PLUGIN     ? "plugin"
           : kind == FLOWD_BACKEND  ? "backend"
           : kind == FLOWD_ENRICHER ? "enricher"
                                    : "component";
}
[[nodiscard]] constexpr const char* section_name(std::uint32_t kind) {
    return kind == FLOWD_PLUGIN     ? "plugins"
           : kind == FLOWD_BACKEND  ? "backends"
           : kind == FLOWD_ENRICHER ? "enrichers"
                                    : "";
}

}  // namespace flowd::core
