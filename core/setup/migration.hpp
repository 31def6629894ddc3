// SPDX-License-Identifier: Apache-2.0
// Configurations of other SciTags daemons as one of this daemon. What their keys mean is data (etc/migration.yaml).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/node.hpp"
#include "core/service/installation.hpp"

namespace flowd::core {

/// What is known of the other daemons.
class MigrationNotes {
  public:
    [[nodiscard]] static Result<MigrationNotes> load(const std::filesystem::path& file);

    /// Names of their programs, which are those of their units as well.
    [[nodiscard]] const std::vector<std::string>& predecessors() const { return predecessors_; }
    /// The rules for one form of configuration: "flowd-go", "flowd", "how-to".
    [[nodiscard]] const YamlNode* rules(std::string_view form) const;

  private:
    YamlNode root_;
    std::vector<std::string> predecessors_;
};

struct Migrated {
    std::string form;            ///< whose configuration it is
    std::string text;            ///< as YAML, with a comment at each key whose meaning differs
    LoadedConfiguration loaded;  ///< `text`, as `check` judges it
};

/// `name` stands for the file in problems. An error: the text is none of the known forms.
[[nodiscard]] Result<Migrated> migrate(std::string_view text, const std::string& name, const MigrationNotes& notes,
                                       Installation& installation);

/// A configuration of flowd: assignments of Python literals. The error names the line.
[[nodiscard]] Result<YamlNode> read_assignments(std::string_view text, const std::string& file);

}  // namespace flowd::core
