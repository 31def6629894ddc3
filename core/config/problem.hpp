// SPDX-License-Identifier: Apache-2.0
// What is wrong with a configuration, where, and what to do about it. Values; no thread concerns.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flowd/abi/base.h"
#include "flowd/json.hpp"

namespace flowd::core {

/// A place in a configuration file. Lines and columns count from 1; 0: unknown.
struct Location {
    std::string file;
    unsigned line = 0;
    unsigned column = 0;

    /// "conf.yaml:3:5"; shorter when a part is unknown.
    [[nodiscard]] std::string to_string() const;
    friend bool operator==(const Location&, const Location&) = default;
};

struct Problem {
    /// Decides the exit code of a start that failed.
    enum class Category {
        configuration,   ///< something written is wrong
        module_missing,  ///< a module is not installed, or was refused by the loader
        system,          ///< the surroundings refuse it: `result` says how (reported by an instance)
    };

    flowd_level level = FLOWD_LEVEL_ERROR;
    flowd_result result = FLOWD_INVALID;
    Category category = Category::configuration;
    Location where = {};
    std::string path = {};     ///< of the key: "backends.firefly.collectors[1].port"; empty: the file as a whole
    std::string message = {};  ///< "out of range"
    std::string found = {};    ///< the offending text; "(secret)" for secrets
    std::string allowed = {};  ///< "1 to 65535"
    std::string nearest = {};  ///< the allowed word that is most like what was found
    std::string hint = {};     ///< one thing to do
    std::string id = {};       ///< of the finding that it is while the configuration is in force; empty: it is none

    /// One line "FILE:LINE:COLUMN: error: PATH: MESSAGE", then one indented line for each of found, allowed, nearest, hint.
    [[nodiscard]] std::string to_string() const;
    void write(json::Writer& writer) const;
};

/// All problems of one configuration, in the order they were found.
class Problems {
  public:
    Problem& add(Problem problem);

    [[nodiscard]] bool has_errors() const { return errors() > 0; }
    [[nodiscard]] std::size_t errors() const;
    [[nodiscard]] bool empty() const { return list_.empty(); }
    [[nodiscard]] std::size_t size() const { return list_.size(); }
    [[nodiscard]] auto begin() const { return list_.begin(); }
    [[nodiscard]] auto end() const { return list_.end(); }
    [[nodiscard]] const Problem& operator[](std::size_t i) const { return list_[i]; }
    /// The first error, null without one: its category and result decide the exit code. A wrong configuration comes
    /// before a missing module.
    [[nodiscard]] const Problem* decisive() const;
    /// By file, line and column; what has no place stays in front.
    void sort();
    /// Every problem as text, one after the other.
    [[nodiscard]] std::string to_string() const;

  private:
    std::vector<Problem> list_;
};

}  // namespace flowd::core
