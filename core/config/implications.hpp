// SPDX-License-Identifier: Apache-2.0
// Backends that nobody wrote, but that an option of a plugin implies by the catalog (etc/catalog.yaml). One thread.
#pragma once

#include <string>
#include <vector>

#include "core/config/catalog.hpp"
#include "core/config/node.hpp"

namespace flowd::core {

/// An instance as if it had been written below `backends`. Its places are those of the option that implies it.
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
