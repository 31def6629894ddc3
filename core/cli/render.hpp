// SPDX-License-Identifier: Apache-2.0
// Renders JSON as text, for all output of flowd-cpp. Pure functions.
//
//   objects            aligned "key: value"; nested values are indented
//   arrays of objects  a table of scalars; other members follow the table, below a title that identifies the row
//   other arrays       "a, b, c"
//   keys               '_' and camelCase become words; the suffixes Seconds and Bytes become units of the value
//   null               "-"; columns and nested values that are empty everywhere are omitted
// Control characters in text are shown as \xNN: text of remote senders must not contain terminal escape sequences.
#pragma once

#include <string>
#include <string_view>

namespace flowd::core::cli {

struct RenderOptions {
    bool colours = false;
};

/// The text, ending in a newline. Malformed JSON is returned unchanged except for control characters.
[[nodiscard]] std::string render(std::string_view json, const RenderOptions& options = {});

/// "1h 2m 3s", "1.5 s", "12 ms".
[[nodiscard]] std::string human_duration(double seconds);
/// "512 B", "1.5 KiB", "12.0 MiB".
[[nodiscard]] std::string human_size(double bytes);

}  // namespace flowd::core::cli
