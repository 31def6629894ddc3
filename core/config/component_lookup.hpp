// SPDX-License-Identifier: Apache-2.0
// Interface between configuration and modules. Implemented by the loader's ModuleSet, and by fakes in tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flowd/abi/module.h"
#include "flowd/result.hpp"

namespace flowd::core {

/// A component that a configuration may use.
struct FoundComponent {
    /// The core's checked and complete copy of the module's struct (members beyond the module's `size` are zero).
    /// Valid until the process ends: modules are never unloaded.
    const flowd_component* component = nullptr;
    std::string module_path;  ///< the file that contains it
};

/// Finds components by the names used in a configuration. Not thread-safe.
class ComponentLookup {
  public:
    virtual ~ComponentLookup() = default;

    /// Loads the module of a component if necessary. `kind` is FLOWD_PLUGIN, FLOWD_BACKEND or FLOWD_ENRICHER; `name` is
    /// the component's name or an alias; `module_path`: the file to load; empty: search the installed modules.
    /// Errors: FLOWD_NOT_FOUND if no installed module (or not that file) contains it; any other code if it was found but
    /// refused: the message has the reason.
    [[nodiscard]] virtual Result<FoundComponent> find(std::uint32_t kind, std::string_view name,
                                                      std::string_view module_path) = 0;

    /// Names and aliases of this kind in the installed modules, read from their notes without loading them.
    [[nodiscard]] virtual std::vector<std::string> names(std::uint32_t kind) const = 0;
};

/// The name of a kind ("plugin", "backend", "enricher"), and the section of the configuration that contains it.
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
