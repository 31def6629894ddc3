// SPDX-License-Identifier: Apache-2.0
// JSON as text: renders everything that flowd-cpp prints. Pure functions.
//
//   objects            aligned "key: value", what is nested below it, indented
//   arrays of objects  a table of what fits a cell; what does not follows the table under the row's name
//   other arrays       "a, b, c"
//   keys               '_' and camelCase read as words; the suffixes Seconds and Bytes become units of the value
//   null               "-"; a column or a nested thing that is empty everywhere is left out
// Control characters in text are shown as \xNN: text of remote senders must not contain terminal commands.
#pragma once

#include <string>
#include <string_view>

namespace flowd::core::cli {

struct RenderOptions {
    bool colours = false;
};

/// The text, ending in a newline; JSON that does not parse is returned as it is, made safe to print.
[[nodiscard]] std::string render(std::string_view json, const RenderOptions& options = {});

/// "1h 2m 3s", "1.5 s", "12 ms".
[[nodiscard]] std::string human_duration(double seconds);
/// "512 B", "1.5 KiB", "12.0 MiB".
[[nodiscard]] std::string human_size(double bytes);

}  // namespace flowd::core::cli
