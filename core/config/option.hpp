// SPDX-License-Identifier: Apache-2.0
// The core's copy of an option table, read from the sized structs of a module. Values, not bound to a thread.
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
    /// The option may also be written as the path of a file, with the key file_key().
    [[nodiscard]] bool has_file() const { return (flags & FLOWD_OPTION_FILE) != 0; }
    [[nodiscard]] std::string file_key() const { return name + "File"; }
    /// This row or a nested one is secret.
    [[nodiscard]] bool holds_secret() const;
    /// `key` is the name or an alias.
    [[nodiscard]] bool is_called(std::string_view key) const;
    /// `key` is the name or an alias followed by "File", of an option that may be written as a file.
    [[nodiscard]] bool is_file_key(std::string_view key) const;
    [[nodiscard]] bool is_written_as(std::string_view key) const { return is_called(key) || is_file_key(key); }
};

using OptionTable = std::vector<Option>;

/// Reads a table by its stride and the rows' sizes. Errors (FLOWD_INVALID, FLOWD_UNSUPPORTED) name the row and the
/// reason: a non-zero tail unknown to this core, no name, a duplicate name, an unknown type, a default that is malformed
/// or out of range, a CHOICE without choices, a LIST without exactly one row, an invalid unit, or too deep nesting.
/// `required` and `module` are keys of the core and are refused at the top level if `of_component`.
[[nodiscard]] Result<OptionTable> read_options(const flowd_option* options, std::size_t count, std::size_t stride,
                                               bool of_component = true);

/// "integer", "list of address": for messages.
[[nodiscard]] std::string type_name(const Option& option);
/// "1 to 65535", "lean, compatible or full", "a duration such as 3s (a bare number: ms)": for messages.
[[nodiscard]] std::string allowed_text(const Option& option);

}  // namespace flowd::core
