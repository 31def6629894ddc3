// SPDX-License-Identifier: Apache-2.0
// A whole configuration: read, checked against the option tables and by the modules themselves, with the place of every
// written value. Immutable after loading; loading belongs to one thread.
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

/// One component, configured once. Movable; pointers into value() stay valid when it is moved.
class InstanceConfig {
  public:
    std::uint32_t kind = 0;                      ///< FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER
    std::string component_name;                  ///< "firefly"
    std::string key;                             ///< "firefly/regional": unique within its kind; aliases are resolved
    std::string written_path;                    ///< "backends.firefly/regional", as the file spells it
    std::string module_path;                     ///< the file the component came from
    bool module_configured = false;              ///< by `module:`, not found among the installed ones
    bool required = true;                        ///< a failure of this instance stops the start
    bool announce = true;                        ///< backends that its options imply are added
    std::string implied_by;                      ///< the option that implies it, by its path; empty: it is written
    const flowd_component* component = nullptr;  ///< lives as long as the process
    OptionTable options;                         ///< the component's table
    Location where;                              ///< of its key
    ValueTree values;

    /// The tree for validate, create and reconfigure: a GROUP in the order of the component's table. Owned by this object.
    [[nodiscard]] const flowd_value& value() const { return values.root(); }

    /// Where the value of "collectors[1].port" (names of the table; items of a MAP as "map[key]" or "map.key") was written;
    /// for what was not written, the nearest enclosing thing that was.
    [[nodiscard]] const Location& location_of(std::string_view option_path) const;

    /// The same component, key, module file and values, however they were spelled: on a reload the instance keeps running.
    [[nodiscard]] bool same_as(const InstanceConfig& other) const;

    /// A problem that the instance reported, with its place and the path of the key. Secrets are taken out of its texts.
    [[nodiscard]] Problem locate(const flowd_problem& reported) const;
};

struct Configuration {
    Globals globals;
    std::vector<InstanceConfig> instances;  ///< plugins, backends, enrichers; within each as written
    std::vector<SourceFile> files;          ///< that it was read from
    ValueTree global_values;                ///< by global_options()
    ValueTree enricher_values;              ///< by enricher_section_options()

    [[nodiscard]] const InstanceConfig* find(std::uint32_t kind, std::string_view key) const;
};

/// What loading needs from outside.
struct LoadContext {
    const Catalog& catalog;
    const Registry& registry;
    /// Called once, after the globals were read (their `modules` says where to look).
    std::function<ComponentLookup&(const Globals&)> modules;
    /// Checks whether a file may be read or passed to a module, and returns the canonical path to open:
    /// trusted_path() of core/base/trust.hpp. Not set: no judgement.
    std::function<Result<std::filesystem::path>(const std::filesystem::path&)> trust = {};
    /// For `check` and its like: what this process may not read is a warning, and what depends on it is not judged.
    bool may_lack_rights = false;
    /// What a module logs in validate(). Not set: nowhere.
    std::function<void(std::string_view instance, flowd_level level, std::string_view line)> log = {};
};

struct LoadedConfiguration {
    std::optional<Configuration> configuration;  ///< set when there is no error
    Problems problems;                           ///< warnings too
};

/// Reads `file` and then `conf.d/*.yaml` beside it in the order of their names. Judges without privileges and without
/// side effects, apart from loading modules. Never throws for what a file holds.
[[nodiscard]] LoadedConfiguration load_configuration(const std::filesystem::path& file, const LoadContext& context);

/// The same for text in memory, without conf.d; `name` stands for the file in messages.
[[nodiscard]] LoadedConfiguration parse_configuration(std::string_view text, const std::string& name,
                                                      const LoadContext& context);

}  // namespace flowd::core
