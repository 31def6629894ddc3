// SPDX-License-Identifier: Apache-2.0
// Converts YAML to the values of an option table. For one use, on one thread.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/config/node.hpp"
#include "core/config/option.hpp"
#include "core/config/problem.hpp"
#include "core/config/registry.hpp"
#include "core/config/value_tree.hpp"

namespace flowd::core {

class Binder {
  public:
    using Trust = std::function<Result<std::filesystem::path>(const std::filesystem::path&)>;

    /// Borrows all arguments for its lifetime. `may_lack_rights`: a value file that this process may not read is a warning.
    Binder(ValueTree& tree, Problems& problems, const Registry& registry, const Trust& trust, bool may_lack_rights = false)
        : tree_(tree), problems_(problems), registry_(registry), trust_(trust), may_lack_rights_(may_lack_rights) {}

    /// Fills `out` as a GROUP with one item per row. `node` is a map, or null if nothing is written. `path` is the path as
    /// the file spells it; `more_keys`: further suggestions for an unknown key. False if it added errors.
    bool bind_table(const OptionTable& table, const YamlNode* node, const Location& where, const std::string& path,
                    flowd_value& out, const std::vector<std::string>& more_keys = {});

    /// Files that contain a secret.
    [[nodiscard]] const std::set<std::string>& files_with_secrets() const { return files_with_secrets_; }

    /// A value is empty because its file could not be read.
    [[nodiscard]] bool lacks_values() const { return lacks_values_; }

  private:
    /// The current position.
    struct At {
        std::string written;    ///< path as the file spells it
        std::string canonical;  ///< path by the names of the table, below the instance
        Location where;
        bool is_default = false;
        bool secret = false;
    };
    /// The group that contains an activity, in which its experiment is searched for.
    struct Group {
        const OptionTable& table;
        const flowd_value* items;
        std::vector<char> failed;  ///< one per row
    };

    bool bind_group(const OptionTable& table, const YamlNode* node, const At& at, flowd_value& out,
                    const std::vector<std::string>& more_keys);
    bool bind_row(const Option& option, const YamlNode::Entry* entry, const At& group_at, Group& group, flowd_value& out);
    bool bind_default(const Option& option, const At& group_at, Group& group, flowd_value& out);
    bool bind_value(const Option& option, const YamlNode& node, const At& at, Group& group, flowd_value& out);
    bool bind_collection(const Option& option, const YamlNode& node, const At& at, Group& group, flowd_value& out);
    bool bind_scalar(const Option& option, const YamlNode& node, const At& at, Group& group, flowd_value& out);
    /// NAMEFile: the value is the first line of a file.
    bool bind_file(const Option& option, const YamlNode& node, const At& at, flowd_value& out);
    bool bind_text(const Option& option, const YamlNode& node, const At& at, flowd_value& out);
    void warn_of_variable(const YamlNode& node, const At& at);
    bool bind_number(const Option& option, const YamlNode& node, const At& at, flowd_value& out);
    bool bind_experiment(const Option& option, const YamlNode& node, const At& at, flowd_value& out);
    bool bind_activity(const Option& option, const YamlNode& node, const At& at, Group& group, std::size_t index,
                       flowd_value& out);
    /// The experiment of an activity row, or of item `index` of an activity list; `unknown`: the experiment is invalid.
    [[nodiscard]] std::optional<std::uint32_t> experiment_of(const Option& activity, const Group& group, std::size_t index,
                                                             bool& unknown) const;
    void warn_of_tag(const Option& option, std::int64_t number, const std::string& unregistered, const YamlNode& node,
                     const At& at);
    bool check_range(const Option& option, std::int64_t value, const YamlNode& node, const At& at);
    bool check_path(const Option& option, const YamlNode& node, const At& at);

    bool reject(const Option& option, const YamlNode& node, const At& at, std::string message, std::string hint = {},
                std::string nearest = {});
    void reject_key(const YamlNode::Entry& entry, const OptionTable& table, const At& at,
                    const std::vector<std::string>& more_keys);
    void keep_canonical(const At& at, flowd_value& out, std::string_view text);

    ValueTree& tree_;
    Problems& problems_;
    const Registry& registry_;
    const Trust& trust_;
    const bool may_lack_rights_;
    bool lacks_values_ = false;
    std::set<std::string> files_with_secrets_;
    const OptionTable* table_ = nullptr;  ///< the table whose rows are being bound
    std::size_t list_index_ = 0;          ///< of the current item, for parallel lists of experiments and activities
};

}  // namespace flowd::core
