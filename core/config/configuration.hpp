// SPDX-License-Identifier: Apache-2.0
// A complete configuration: parsed, checked by the option tables and by the modules, with the location of every
// written value. Immutable after loading; loading is done by one thread.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/catalog.hpp"
#include "core/config/component_lookup.hpp"
#include "core/config/globals.hpp"
#include "core/config/option.hpp"
#include "core/config/problem.hpp"
#include "core/config/registry.hpp"
#include "core/config/source.hpp"
#include "core/config/value_tree.hpp"

namespace flowd::core {

/// One configured instance of a component. Movable; pointers into value() stay valid when it is moved.
class InstanceConfig {
  public:
    std::uint32_t kind = 0;                      ///< FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER
    std::string component_name;                  ///< "firefly"
    std::string key;                             ///< "firefly/regional": unique within its kind; aliases are resolved
    std::string written_path;                    ///< "backends.firefly/regional", as the file spells it
    std::string module_path;                     ///< the file that contains the component
    bool module_configured = false;              ///< by `module:`, not from the installed modules
    bool required = true;                        ///< a failure of this instance stops the start
    bool announce = true;                        ///< add the backends that its options imply
    bool relays = false;                         ///< it sends what it receives itself, without a backend
    std::string implied_by;                      ///< path of the option that implies it; empty: it is written in the file
    const flowd_component* component = nullptr;  ///< valid until the process ends
    OptionTable options;                         ///< the component's table
    Location where;                              ///< location of its key
    ValueTree values;

    /// The tree for validate, create and reconfigure: a GROUP in the order of the component's table. Owned by this object.
    [[nodiscard]] const flowd_value& value() const { return values.root(); }

    /// The location of a value such as "collectors[1].port" (names of the table; items of a MAP as "map[key]", "map.key").
    /// If the value is not written, that of the nearest enclosing written one.
    [[nodiscard]] const Location& location_of(std::string_view option_path) const;

    /// Same component, key, module file and values, in any spelling: a reload then keeps the instance running.
    [[nodiscard]] bool same_as(const InstanceConfig& other) const;

    /// A problem that the instance reported, with location and path of the key. Secrets are removed from its texts.
    [[nodiscard]] Problem locate(const flowd_problem& reported) const;
};

struct Configuration {
    Globals globals;
    std::vector<InstanceConfig> instances;  ///< plugins, backends, enrichers; each in the order of the file
    std::vector<SourceFile> files;          ///< files that it was read from
    ValueTree global_values;                ///< by global_options()
    ValueTree enricher_values;              ///< by enricher_section_options()

    [[nodiscard]] const InstanceConfig* find(std::uint32_t kind, std::string_view key) const;
};

/// Dependencies of loading.
struct LoadContext {
    const Catalog& catalog;
    const Registry& registry;
    /// Called once, after the globals were read (their `modules` lists directories to search).
    std::function<ComponentLookup&(const Globals&)> modules;
    /// Checks whether a file may be read or passed to a module, and returns the canonical path to open:
    /// trusted_path() of core/base/trust.hpp. Not set: no check.
    std::function<Result<std::filesystem::path>(const std::filesystem::path&)> trust = {};
    /// For `check` and similar commands: an unreadable file is a warning, and values that depend on it are not checked.
    bool may_lack_rights = false;
    /// Receives log lines of validate(). Not set: they are discarded.
    std::function<void(std::string_view instance, flowd_level level, std::string_view line)> log = {};
};

struct LoadedConfiguration {
    std::optional<Configuration> configuration;  ///< set if there is no error
    Problems problems;                           ///< including warnings
};

/// Reads `file` and then `conf.d/*.yaml` in its directory in the order of their names. Needs no privileges and has no
/// side effects except loading modules. Does not throw because of the content of a file.
[[nodiscard]] LoadedConfiguration load_configuration(const std::filesystem::path& file, const LoadContext& context);

/// The same for text in memory, without conf.d; `name` replaces the file name in messages.
[[nodiscard]] LoadedConfiguration parse_configuration(std::string_view text, const std::string& name,
                                                      const LoadContext& context);

}  // namespace flowd::core
