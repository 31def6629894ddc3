// SPDX-License-Identifier: Apache-2.0
// Backends that are not configured but implied by an option of a plugin (etc/catalog.yaml, `implies`). One thread.
#pragma once

#include <string>
#include <vector>

#include "core/config/catalog.hpp"
#include "core/config/node.hpp"

namespace flowd::core {

/// An instance that is treated as if configured below `backends`. Its locations are those of the option that implies it.
struct ImpliedInstance {
    YamlNode::Entry entry;
    std::string by;  ///< "plugins.fireflyp.fireflyReceivers"; several are separated by commas
};

/// Whether the option is written and not empty.
[[nodiscard]] bool applies(const Implication& implication, const YamlNode& plugin);

/// Adds the backend that the plugin at `plugin_path` implies. Plugins that imply the same instance share it: its lists
/// contain the items of all, without duplicates.
void add_implied(std::vector<ImpliedInstance>& all, const Implication& implication, const YamlNode& plugin,
                 const std::string& plugin_path);

}  // namespace flowd::core
