// SPDX-License-Identifier: Apache-2.0
// A problem of a configuration: location, cause and remedy. Values, not bound to a thread.
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
        configuration,   ///< a written value is wrong
        module_missing,  ///< a module is not installed, or was refused by the loader
        system,          ///< the system refused it; `result` is the error (reported by an instance)
    };

    flowd_level level = FLOWD_LEVEL_ERROR;
    flowd_result result = FLOWD_INVALID;
    Category category = Category::configuration;
    Location where = {};
    std::string path = {};     ///< path of the key: "backends.firefly.collectors[1].port"; empty: the file as a whole
    std::string message = {};  ///< "out of range"
    std::string found = {};    ///< the offending text; "(secret)" for secrets
    std::string allowed = {};  ///< "1 to 65535"
    std::string nearest = {};  ///< the allowed word most similar to `found`
    std::string hint = {};     ///< one remedy
    std::string id = {};       ///< id of the finding while the configuration is in force; empty: no finding

    /// One line "FILE:LINE:COLUMN: error: PATH: MESSAGE", then one indented line each for found, allowed, nearest and hint.
    [[nodiscard]] std::string to_string() const;
    /// The same without "error: ", for a log line, which has its level.
    [[nodiscard]] std::string log_text() const { return text_with({}); }
    void write(json::Writer& writer) const;

  private:
    [[nodiscard]] std::string text_with(std::string_view severity) const;
};

/// All problems of one configuration, in the order of detection.
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
    /// The first error, or null: its category and result decide the exit code. A wrong configuration precedes a missing
    /// module.
    [[nodiscard]] const Problem* decisive() const;
    /// Sorts by file, line and column; problems without a location come first.
    void sort();
    /// Every problem as text, one after the other.
    [[nodiscard]] std::string to_string() const;

  private:
    std::vector<Problem> list_;
};

}  // namespace flowd::core
