// SPDX-License-Identifier: Apache-2.0
// Converts configurations of other SciTags daemons. The meaning of their keys is data (etc/migration.yaml).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/node.hpp"
#include "core/service/installation.hpp"

namespace flowd::core {

/// The data about the other daemons.
class MigrationNotes {
  public:
    [[nodiscard]] static Result<MigrationNotes> load(const std::filesystem::path& file);

    /// Names of their programs, which are also the names of their units.
    [[nodiscard]] const std::vector<std::string>& predecessors() const { return predecessors_; }
    /// The rules for one form of configuration: "flowd-go", "flowd", "how-to".
    [[nodiscard]] const YamlNode* rules(std::string_view form) const;

  private:
    YamlNode root_;
    std::vector<std::string> predecessors_;
};

struct Migrated {
    std::string form;            ///< the form of the source: "flowd-go", "flowd", "how-to"
    std::string text;            ///< YAML, with a comment at each key whose meaning differs
    LoadedConfiguration loaded;  ///< the result of checking `text`, as by `check`
};

/// `name` replaces the file name in problems. An error: `text` has none of the known forms.
[[nodiscard]] Result<Migrated> migrate(std::string_view text, const std::string& name, const MigrationNotes& notes,
                                       Installation& installation);

/// Parses a configuration of flowd: assignments of Python literals. The error names the line.
[[nodiscard]] Result<YamlNode> read_assignments(std::string_view text, const std::string& file);

}  // namespace flowd::core
