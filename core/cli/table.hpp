// SPDX-License-Identifier: Apache-2.0
// Renders text in aligned columns. One thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace flowd::core::cli {

/// Width in columns: code points of UTF-8; wide characters count as one.
[[nodiscard]] std::size_t text_width(std::string_view utf8);
[[nodiscard]] std::string pad(std::string_view text, std::size_t width);

/// A cell of CSV (RFC 4180): in quotes if it contains a comma, a quotation mark, an apostrophe or a line break.
[[nodiscard]] std::string csv_quoted(std::string_view text);

/// Columns first, then cells row by row. A column is right-aligned if it contains only numbers.
class Table {
  public:
    explicit Table(bool colours) : colours_(colours) {}

    void column(std::string heading);
    void cell(std::string text, bool is_number);
    /// One line per row, headings first, ending in a newline.
    [[nodiscard]] std::string to_string(std::size_t indent) const;

  private:
    struct Column {
        std::string heading;
        std::size_t width = 0;
        bool has_text = false;
        bool has_number = false;
    };
    std::vector<Column> columns_;
    std::vector<std::string> cells_;
    bool colours_;
};

}  // namespace flowd::core::cli
