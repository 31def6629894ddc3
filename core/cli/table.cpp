// SPDX-License-Identifier: Apache-2.0
#include "core/cli/table.hpp"

#include <algorithm>

namespace flowd::core::cli {

std::size_t text_width(std::string_view utf8) {
    return static_cast<std::size_t>(std::count_if(
        utf8.begin(), utf8.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }));
}

std::string pad(std::string_view text, std::size_t width) {
    std::string padded(text);
    const std::size_t used = text_width(text);
    if (used < width) padded.append(width - used, ' ');
    return padded;
}

std::string csv_quoted(std::string_view text) {
    if (text.find_first_of(",\"'\r\n") == std::string_view::npos) return std::string(text);
    std::string quoted = "\"";
    for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
    return quoted + '"';
}

void Table::column(std::string heading) {
    const std::size_t width = text_width(heading);
    columns_.push_back({std::move(heading), width});
}

void Table::cell(std::string text, bool is_number) {
    Column& column = columns_[cells_.size() % columns_.size()];
    column.width = std::max(column.width, text_width(text));
    if (is_number) {
        column.has_number = true;
    } else if (text != "-") {
        column.has_text = true;
    }
    cells_.push_back(std::move(text));
}

std::string Table::to_string(std::size_t indent) const {
    std::string out;
    const auto row = [&](auto&& text_of) {
        std::string line(indent, ' ');
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            const Column& column = columns_[i];
            const std::string& text = text_of(i);
            if (i > 0) line += "  ";
            if (column.has_number && !column.has_text) {
                line.append(column.width - text_width(text), ' ').append(text);
            } else {
                line += pad(text, column.width);
            }
        }
        line.erase(line.find_last_not_of(' ') + 1);
        return line;
    };
    const std::string headings = row([&](std::size_t i) -> const std::string& { return columns_[i].heading; });
    out += colours_ ? "\x1b[1m" + headings + "\x1b[0m" : headings;
    out += '\n';
    for (std::size_t start = 0; start < cells_.size(); start += columns_.size()) {
        out += row([&](std::size_t i) -> const std::string& { return cells_[start + i]; });
        out += '\n';
    }
    return out;
}

}  // namespace flowd::core::cli
