// SPDX-License-Identifier: Apache-2.0
// The replies to `flows` and `observe` (core/service/flow_queries.hpp) as text. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "flowd/result.hpp"

namespace flowd::core::cli {

struct FlowsLayout {
    std::size_t width = 0;  ///< of the terminal in columns; 0: as wide as the content
    bool wide = false;      ///< all columns, whatever the width
    bool ended = false;
    bool colours = false;
};

/// A table of flows or, for a summary, of groups, and a line with the totals. Cells that do not fit are shortened in their
/// middle, so that the port remains.
[[nodiscard]] std::string flows_table(std::string_view json, const FlowsLayout& layout);
/// One flow (or group) per line: as JSON, or as CSV (RFC 4180) with a header. A cell that a spreadsheet would take for a
/// formula begins with an apostrophe.
[[nodiscard]] std::string flows_jsonl(std::string_view json);
[[nodiscard]] std::string flows_csv(std::string_view json);

/// An answer to `observe`, one event per line.
struct Observed {
    std::string lines;
    std::uint64_t next = 0;
    std::uint64_t lost = 0;
};
/// `as_json`: a JSON object per line.
[[nodiscard]] Result<Observed> observed_lines(std::string_view json, bool as_json);

/// "999", "1.2k", "12.3M", "1.5G": powers of 1000.
[[nodiscard]] std::string compact_count(double number);
/// "59s", "12m30s", "1h02m", "3d04h".
[[nodiscard]] std::string compact_age(double seconds);
/// `text` in at most `width` columns, with an ellipsis in its middle if it is longer.
[[nodiscard]] std::string shortened(std::string_view text, std::size_t width);

}  // namespace flowd::core::cli
