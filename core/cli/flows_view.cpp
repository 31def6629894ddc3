// SPDX-License-Identifier: Apache-2.0
#include "core/cli/flows_view.hpp"

#include <simdjson.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/cli/member_text.hpp"
#include "core/cli/table.hpp"
#include "flowd/counted.hpp"
#include "flowd/printable.hpp"

namespace flowd::core::cli {
namespace {

namespace dom = simdjson::dom;

/// Text without line breaks, so that a row stays a row.
std::string cell_text(const dom::element& object, std::string_view key) {
    std::string_view text;
    return object[key].get(text) == simdjson::SUCCESS ? flowd::printable(text) : std::string();
}

/// Minified JSON in which text was decoded: what flowd::is_control names is escaped again.
std::string safe_json(std::string_view json) {
    std::string out;
    while (!json.empty()) {
        const std::size_t length = std::max<std::size_t>(utf8_length(json), 1);
        const char32_t c = utf8_character(json.substr(0, length));
        if (c >= 0x7f && flowd::is_control(c))
            out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c));
        else
            out += json.substr(0, length);
        json.remove_prefix(length);
    }
    return out;
}

std::string whole_of(const dom::element& object, std::string_view key) {
    std::uint64_t number = 0;
    return object[key].get(number) == simdjson::SUCCESS ? std::to_string(number) : std::string();
}

bool flag_of(const dom::element& object, std::string_view key) {
    bool flag = false;
    return object[key].get(flag) == simdjson::SUCCESS && flag;
}

std::string tag_text(const dom::element& flow) {
    bool is_registered = false;
    const bool is_known = flow["registered"].get(is_registered) == simdjson::SUCCESS;
    return cell_text(flow, "experiment") + "/" + cell_text(flow, "activity") +
           (is_known && !is_registered ? " (unregistered)" : "");
}

/// A column of one of the tables.
struct Column {
    std::string_view heading;
    std::string (*text)(const dom::element&);
    bool is_right = false;     ///< a number
    std::size_t least = 0;     ///< may be shortened to so many columns; 0: not at all
    bool is_wide = false;      ///< only in the wide table
    bool is_of_ended = false;  ///< only of ended flows
};

const std::array<Column, 15> flow_columns{{
    {"PROTO", [](const dom::element& e) { return cell_text(e, "protocol"); }, false, 0, true},
    {"SOURCE", [](const dom::element& e) { return cell_text(e, "source"); }, false, 10},
    {"DESTINATION", [](const dom::element& e) { return cell_text(e, "destination"); }, false, 10},
    {"EXPERIMENT/ACTIVITY", tag_text, false, 8},
    {"AGE", [](const dom::element& e) { return compact_age(number_of(e, "ageSeconds")); }, true},
    {"SENT", [](const dom::element& e) { return compact_count(number_of(e, "bytesSent")); }, true},
    {"RECEIVED", [](const dom::element& e) { return compact_count(number_of(e, "bytesReceived")); }, true},
    {"MEAN RATE", [](const dom::element& e) { return compact_count(number_of(e, "bytesPerSecond")) + "/s"; }, true},
    {"MARKED", [](const dom::element& e) { return std::string(flag_of(e, "marked") ? "yes" : "no"); }},
    {"END", [](const dom::element& e) { return cell_text(e, "endReason"); }, false, 0, false, true},
    {"PLUGIN", [](const dom::element& e) { return cell_text(e, "announcer"); }, false, 0, true},
    {"RULE", [](const dom::element& e) { return cell_text(e, "rule"); }, false, 0, true},
    {"APPLICATION", [](const dom::element& e) { return cell_text(e, "application"); }, false, 0, true},
    {"START", [](const dom::element& e) { return cell_text(e, "start"); }, false, 0, true},
    {"ID", [](const dom::element& e) { return whole_of(e, "id"); }, true, 0, true},
}};

const std::array<Column, 5> group_columns{{
    {"GROUP", [](const dom::element& e) { return cell_text(e, "group"); }, false, 10},
    {"FLOWS", [](const dom::element& e) { return whole_of(e, "flows"); }, true},
    {"MARKED", [](const dom::element& e) { return whole_of(e, "marked"); }, true},
    {"SENT", [](const dom::element& e) { return compact_count(number_of(e, "bytesSent")); }, true},
    {"RECEIVED", [](const dom::element& e) { return compact_count(number_of(e, "bytesReceived")); }, true},
}};

/// The members of a flow and of a group, in the order of the columns of CSV.
constexpr std::array<std::string_view, 20> flow_members{
    "id",        "protocol", "source",      "destination", "experiment", "activity",      "experimentId",   "activityId",
    "start",     "end",      "endReason",   "ageSeconds",  "bytesSent",  "bytesReceived", "bytesPerSecond", "marked",
    "announcer", "rule",     "application", "announcers"};
constexpr std::array<std::string_view, 5> group_members{"group", "flows", "marked", "bytesSent", "bytesReceived"};

struct Rows {
    dom::parser parser;
    dom::element root;
    dom::array all;
    bool are_groups = false;
    bool is_good = false;

    explicit Rows(std::string_view json) {
        if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS) return;
        are_groups = root["groups"].get(all) == simdjson::SUCCESS;
        is_good = are_groups || root["flows"].get(all) == simdjson::SUCCESS;
    }
};

std::string csv_cell(std::string_view text) {
    std::string safe = flowd::printable(text);
    if (!safe.empty() && std::string_view("=+-@").find(safe.front()) != std::string_view::npos) safe.insert(0, "'");
    return csv_quoted(safe);
}

std::string csv_value(const dom::element& object, std::string_view member) {
    dom::element value;
    if (object[member].get(value) != simdjson::SUCCESS) return {};
    std::string_view text;
    return value.get(text) == simdjson::SUCCESS ? csv_cell(text) : std::string(simdjson::minify(value));
}

template <typename Members>
std::string csv_lines(const Rows& rows, const Members& members) {
    std::string out;
    for (const std::string_view member : members) out.append(out.empty() ? "" : ",").append(member);
    out += "\r\n";
    for (const dom::element row : rows.all) {
        bool is_first = true;
        for (const std::string_view member : members) {
            out.append(std::exchange(is_first, false) ? "" : ",").append(csv_value(row, member));
        }
        out += "\r\n";
    }
    return out;
}

template <typename Columns>
std::string table_of(const Rows& rows, const Columns& all_columns, const FlowsLayout& layout) {
    std::vector<const Column*> columns;
    for (const Column& one : all_columns)
        if ((layout.wide || !one.is_wide) && (layout.ended || !one.is_of_ended)) columns.push_back(&one);
    std::vector<std::vector<std::string>> cells;
    std::vector<std::size_t> widths;
    widths.reserve(columns.size());
    for (const Column* one : columns) widths.push_back(text_width(one->heading));
    for (const dom::element row : rows.all) {
        std::vector<std::string>& line = cells.emplace_back();
        for (std::size_t i = 0; i < columns.size(); ++i) {
            line.push_back(columns[i]->text(row));
            if (line.back().empty()) line.back() = "-";
            widths[i] = std::max(widths[i], text_width(line.back()));
        }
    }
    const bool is_bounded = layout.width > 0 && !layout.wide;
    const std::size_t gap = is_bounded && layout.width < 100 ? 1 : 2;
    const auto total = [&] {
        std::size_t sum = gap * (columns.size() - 1);
        for (const std::size_t width : widths) sum += width;
        return sum;
    };
    while (is_bounded && total() > layout.width) {
        std::size_t widest = columns.size();
        for (std::size_t i = 0; i < columns.size(); ++i)
            if (columns[i]->least > 0 && widths[i] > columns[i]->least &&
                (widest == columns.size() || widths[i] > widths[widest]))
                widest = i;
        if (widest == columns.size()) break;
        --widths[widest];
    }
    std::string out;
    const auto write = [&](auto&& text_of) {
        std::string line;
        for (std::size_t i = 0; i < columns.size(); ++i) {
            if (i > 0) line.append(gap, ' ');
            const std::string text = shortened(text_of(i), widths[i]);
            const std::size_t used = text_width(text);
            if (columns[i]->is_right) line.append(widths[i] - used, ' ');
            line += text;
            if (!columns[i]->is_right) line.append(widths[i] - used, ' ');
        }
        line.erase(line.find_last_not_of(' ') + 1);
        return line;
    };
    const std::string headings = write([&](std::size_t i) { return columns[i]->heading; });
    out += (layout.colours ? "\x1b[1m" + headings + "\x1b[0m" : headings) + "\n";
    for (const auto& line : cells) out += write([&](std::size_t i) -> std::string_view { return line[i]; }) + "\n";
    return out;
}

std::string footer(const Rows& rows, const FlowsLayout& layout) {
    const std::string live = whole_of(rows.root, "live"), matched = whole_of(rows.root, "matched");
    const std::string shown = rows.are_groups ? counted(rows.all.size(), "group") : whole_of(rows.root, "shown");
    const std::string ended = whole_of(rows.root, "ended");
    return shown + " shown, " + matched + " match, " + (layout.ended ? ended + " ended flows are kept, " : "") + live +
           " live\n";
}

std::string observed_line(const dom::element& event) {
    const std::string time = cell_text(event, "time");
    const std::string kind = cell_text(event, "event");
    dom::element flow;
    if (event["flow"].get(flow) != simdjson::SUCCESS) {
        std::string line =
            fmt::format("{} {:<7} {}: {}", time, kind, cell_text(event, "instance"), cell_text(event, "reason"));
        if (const std::string sender = cell_text(event, "sender"); !sender.empty()) line += ", from " + sender;
        if (const std::string first = cell_text(event, "firstBytes"); !first.empty()) line += ": " + first;
        if (const std::string more = whole_of(event, "suppressed"); !more.empty()) line += " (after " + more + " more)";
        return line;
    }
    std::string line = fmt::format("{} {:<7} {} {} -> {} {}", time, kind, cell_text(flow, "protocol"),
                                   cell_text(flow, "source"), cell_text(flow, "destination"), tag_text(flow));
    if (kind == "retag") line += ", was " + cell_text(event, "formerExperiment") + "/" + cell_text(event, "formerActivity");
    line += ", " + cell_text(flow, "announcer");
    if (const std::string application = cell_text(flow, "application"); !application.empty()) line += ", " + application;
    if (kind == "end")
        line += fmt::format(", {}, {} sent, {} received, {}", compact_age(number_of(flow, "ageSeconds")),
                            compact_count(number_of(flow, "bytesSent")), compact_count(number_of(flow, "bytesReceived")),
                            cell_text(flow, "endReason"));
    if (!flag_of(flow, "marked")) line += ", not marked";
    return line;
}

}  // namespace

std::string compact_count(double number) {
    constexpr std::string_view units = "kMGTPE";
    if (number < 1000) return fmt::format("{:.0f}", number);
    std::size_t unit = 0;
    for (number /= 1000; number >= 999.95 && unit + 1 < units.size(); ++unit) number /= 1000;
    return fmt::format("{:.1f}{}", number, units[unit]);
}

std::string compact_age(double seconds) {
    const auto whole = static_cast<std::uint64_t>(std::max(seconds, 0.0));
    if (whole < 60) return fmt::format("{}s", whole);
    if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
    if (whole < 86400) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
    return fmt::format("{}d{:02}h", whole / 86400, whole / 3600 % 24);
}

std::string shortened(std::string_view text, std::size_t width) {
    const std::size_t length = text_width(text);
    if (length <= width) return std::string(text);
    if (width == 0) return {};
    const std::size_t left = (width - 1) / 2, right = width - 1 - left;
    const auto offset_of = [&](std::size_t column) {
        std::size_t at = 0;
        for (std::size_t seen = 0; at < text.size(); ++at) {
            if ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) continue;
            if (seen++ == column) break;
        }
        return at;
    };
    return std::string(text.substr(0, offset_of(left))) + "\xe2\x80\xa6" +
           std::string(text.substr(offset_of(length - right)));
}

std::string flows_table(std::string_view json, const FlowsLayout& layout) {
    const Rows rows(json);
    if (!rows.is_good) return flowd::printable(json, '\n') + "\n";
    return (rows.are_groups ? table_of(rows, group_columns, layout) : table_of(rows, flow_columns, layout)) +
           footer(rows, layout);
}

std::string flows_jsonl(std::string_view json) {
    const Rows rows(json);
    std::string out;
    if (!rows.is_good) return out;
    for (const dom::element row : rows.all) out += safe_json(simdjson::minify(row)) + "\n";
    return out;
}

std::string flows_csv(std::string_view json) {
    const Rows rows(json);
    if (!rows.is_good) return {};
    return rows.are_groups ? csv_lines(rows, group_members) : csv_lines(rows, flow_members);
}

Result<Observed> observed_lines(std::string_view json, bool as_json) {
    dom::parser parser;
    dom::element root;
    dom::array events;
    Observed out;
    if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS ||
        root["events"].get(events) != simdjson::SUCCESS || root["next"].get(out.next) != simdjson::SUCCESS ||
        root["lost"].get(out.lost) != simdjson::SUCCESS)
        return Error{FLOWD_ERROR, "the daemon's answer to observe cannot be read",
                     "its version differs: flowd-cpp version"};
    for (const dom::element event : events)
        out.lines += (as_json ? safe_json(simdjson::minify(event)) : observed_line(event)) + "\n";
    return out;
}

}  // namespace flowd::core::cli
