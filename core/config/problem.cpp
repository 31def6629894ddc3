// SPDX-License-Identifier: Apache-2.0
#include "core/config/problem.hpp"

#include <algorithm>
#include <tuple>

namespace flowd::core {

namespace {

const char* category_name(Problem::Category category) {
    switch (category) {
        case Problem::Category::configuration:
            return "configuration";
        case Problem::Category::module_missing:
            return "module";
        case Problem::Category::system:
            return "system";
    }
    return "";
}

void add_line(std::string& text, std::string_view name, std::string_view content) {
    if (content.empty()) return;
    text.append("\n    ").append(name).append(":");
    text.append(9 - name.size() - 1, ' ');
    text.append(content);
}

}  // namespace

std::string Location::to_string() const {
    std::string text = file;
    if (line > 0) {
        text += ":" + std::to_string(line);
        if (column > 0) text += ":" + std::to_string(column);
    }
    return text;
}

std::string Problem::to_string() const {
    return text_with(level == FLOWD_LEVEL_WARNING ? "warning: " : "error: ");
}

std::string Problem::text_with(std::string_view severity) const {
    std::string text = where.to_string();
    if (!text.empty()) text += ": ";
    text += severity;
    if (!path.empty()) text += path + ": ";
    text += message;
    add_line(text, "found", found);
    add_line(text, "allowed", allowed);
    add_line(text, "nearest", nearest);
    add_line(text, "hint", hint);
    return text;
}

void Problem::write(json::Writer& writer) const {
    writer.object();
    writer.member("level", level == FLOWD_LEVEL_WARNING ? "warning" : "error");
    writer.member("category", category_name(category));
    writer.member("file", where.file).member("line", where.line).member("column", where.column);
    writer.member("path", path).member("message", message);
    if (!found.empty()) writer.member("found", found);
    if (!allowed.empty()) writer.member("allowed", allowed);
    if (!nearest.empty()) writer.member("nearest", nearest);
    if (!hint.empty()) writer.member("hint", hint);
    if (!id.empty()) writer.member("id", id);
    writer.end();
}

Problem& Problems::add(Problem problem) {
    list_.push_back(std::move(problem));
    return list_.back();
}

std::size_t Problems::errors() const {
    return static_cast<std::size_t>(
        std::count_if(list_.begin(), list_.end(), [](const Problem& p) { return p.level >= FLOWD_LEVEL_ERROR; }));
}

const Problem* Problems::decisive() const {
    const Problem* first = nullptr;
    for (const Problem& problem : list_) {
        if (problem.level < FLOWD_LEVEL_ERROR) continue;
        if (problem.category == Problem::Category::configuration) return &problem;
        if (first == nullptr) first = &problem;
    }
    return first;
}

void Problems::sort() {
    std::stable_sort(list_.begin(), list_.end(), [](const Problem& a, const Problem& b) {
        return std::tie(a.where.file, a.where.line, a.where.column) < std::tie(b.where.file, b.where.line, b.where.column);
    });
}

std::string Problems::to_string() const {
    std::string text;
    for (const Problem& problem : list_) text += problem.to_string() + "\n";
    return text;
}

}  // namespace flowd::core
