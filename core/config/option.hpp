// SPDX-License-Identifier: Apache-2.0
// The core's own copy of an option table, read from the sized structs of a module. Values; no thread concerns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/abi/option.h"
#include "flowd/result.hpp"

namespace flowd::core {

/// One row. See flowd_option for the meaning of each member.
struct Option {
    std::uint32_t type = 0;
    std::uint32_t flags = 0;
    std::string name;
    std::string doc;
    std::vector<std::string> aliases;
    std::optional<std::string> default_text;
    std::string unit;
    std::vector<std::string> choices;
    std::string deprecated_by;
    std::optional<double> minimum;
    std::optional<double> maximum;
    std::vector<Option> fields;

    [[nodiscard]] bool required() const { return (flags & FLOWD_OPTION_REQUIRED) != 0; }
    [[nodiscard]] bool secret() const { return (flags & FLOWD_OPTION_SECRET) != 0; }
    [[nodiscard]] bool trusted() const { return (flags & FLOWD_OPTION_TRUSTED) != 0; }
    [[nodiscard]] bool bounded() const { return minimum || maximum; }
    [[nodiscard]] bool in_range(double value) const {
        return (!minimum || value >= *minimum) && (!maximum || value <= *maximum);
    }
    /// May also be written as a file, below file_key().
    [[nodiscard]] bool has_file() const { return (flags & FLOWD_OPTION_FILE) != 0; }
    [[nodiscard]] std::string file_key() const { return name + "File"; }
    /// This row or one below it is secret.
    [[nodiscard]] bool holds_secret() const;
    /// `key` is the name or an alias.
    [[nodiscard]] bool is_called(std::string_view key) const;
    /// `key` is the name or an alias with "File" behind it, of an option that may be a file.
    [[nodiscard]] bool is_file_key(std::string_view key) const;
    [[nodiscard]] bool is_written_as(std::string_view key) const { return is_called(key) || is_file_key(key); }
};

using OptionTable = std::vector<Option>;

/// Reads a table by its stride and the rows' sizes. Errors (FLOWD_INVALID, FLOWD_UNSUPPORTED) name the row and what is
/// wrong with it: a non-zero tail this core does not know, no name, a name twice, an unknown type, a default that does
/// not parse or is out of range, a CHOICE without choices, a LIST without its one row, a bad unit, nesting beyond
/// reason. `required` and `module` are the core's own keys and refused at the top when `of_component`.
[[nodiscard]] Result<OptionTable> read_options(const flowd_option* options, std::size_t count, std::size_t stride,
                                               bool of_component = true);

/// "integer", "list of address": for people.
[[nodiscard]] std::string type_name(const Option& option);
/// "1 to 65535", "lean, compatible or full", "a duration such as 3s (a bare number: ms)": for people.
[[nodiscard]] std::string allowed_text(const Option& option);

}  // namespace flowd::core
