// SPDX-License-Identifier: Apache-2.0
// Backends that are not configured, but implied by an option of a plugin (etc/catalog.yaml, `implies`). One thread.
#pragma once

#include <string>
#include <vector>

#include "core/config/catalog.hpp"
#include "core/config/node.hpp"

namespace flowd::core {

/// An instance to be read as if it were configured below `backends`. Its locations are those of the option that implies it.
struct ImpliedInstance {
    YamlNode::Entry entry;
    std::string by;  ///< "plugins.fireflyp.fireflyReceivers"; several with a comma between them
};

/// Whether the option is written and holds something.
[[nodiscard]] bool applies(const Implication& implication, const YamlNode& plugin);

/// Adds what the plugin at `plugin_path` implies. Two plugins that imply the same instance share it: its lists hold the
/// items of both, each once.
void add_implied(std::vector<ImpliedInstance>& all, const Implication& implication, const YamlNode& plugin,
                 const std::string& plugin_path);

}  // namespace flowd::core
