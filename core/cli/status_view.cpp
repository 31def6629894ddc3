// SPDX-License-Identifier: Apache-2.0
#include "core/cli/status_view.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <vector>

#include "core/base/text.hpp"
#include "core/cli/member_text.hpp"
#include "core/cli/render.hpp"
#include "core/cli/table.hpp"
#include "flowd/counted.hpp"
#include "flowd/json.hpp"

namespace flowd::core::cli {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t columns = 80;
constexpr std::ptrdiff_t lines = 24;

std::vector<dom::element> list_of(const dom::element& object, std::string_view key) {
    dom::array items;
    if (object[key].get(items) != simdjson::SUCCESS) return {};
    return {items.begin(), items.end()};
}

std::string one_line(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
}

/// "2026-11-29 12:03 UTC" for "2026-11-29T12:03:07.123Z".
std::string minute_of(const std::string& time) {
    return time.size() < 16 ? time : time.substr(0, 10) + " " + time.substr(11, 5) + " UTC";
}

std::string cut(const std::string& text, std::size_t width) {
    if (text_width(text) <= width) return text;
    std::size_t end = 0;
    for (std::size_t seen = 0; end < text.size(); ++end)
        if ((static_cast<unsigned char>(text[end]) & 0xc0) != 0x80 && seen++ == width - 3) break;
    return text.substr(0, end) + "...";
}

/// Breaks lines between words; `margin` precedes the second and later lines.
std::string wrapped(const std::string& text, const std::string& margin) {
    std::string out, line;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t blank = std::min(text.find(' ', at + 1), text.size());
        const std::string word = text.substr(at, blank - at);
        if (text_width(line) + text_width(word) > columns && text_width(line) > text_width(margin)) {
            out += line + "\n";
            line = margin + word.substr(word.find_first_not_of(' ') == std::string::npos ? 0 : word.find_first_not_of(' '));
        } else {
            line += word;
        }
        at = blank;
    }
    return out + line + "\n";
}

std::ptrdiff_t lines_of(const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
}

std::size_t live_flows(const dom::element& root) {
    dom::element flows;
    return root["flows"].get(flows) == simdjson::SUCCESS ? static_cast<std::size_t>(number_of(flows, "live")) : 0;
}

std::string flows_text(const dom::element& root) {
    return counted(live_flows(root), "live flow");
}

/// The activity of an instance, or the reason why it does not work.
std::string doing_of(const dom::element& instance) {
    const std::string state = text_of(instance, "state"), health = text_of(instance, "health");
    const std::string summary = text_of(instance, "summary"), error = one_line(text_of(instance, "lastError"));
    if (state != "running")
        return state + " since " + minute_of(text_of(instance, "since")) + (error.empty() ? "" : ": " + error);
    if (const std::string stuck = text_of(instance, "stuckIn"); !stuck.empty())
        return "does not return from " + stuck + " for " + human_duration(number_of(instance, "stuckSeconds"));
    const std::string well = summary.empty() ? "running" : summary;
    return health.empty() || health == "ok" ? well : health + ": " + well;
}

std::string about(const dom::element& finding) {
    const std::string subject = text_of(finding, "subject"), found = one_line(text_of(finding, "found"));
    return subject.empty() || subject == text_of(finding, "instance") ? found : subject + ": " + found;
}

int rank_of(const std::string& severity) {
    return severity == "error" ? 2 : severity == "warning" ? 1 : 0;
}

std::vector<dom::element> worst_first(std::vector<dom::element> all) {
    std::stable_sort(all.begin(), all.end(), [](const dom::element& a, const dom::element& b) {
        return rank_of(text_of(a, "severity")) > rank_of(text_of(b, "severity"));
    });
    return all;
}

std::vector<dom::element> findings_of(const dom::element& root) {
    return worst_first(list_of(root, "findings"));
}

std::string finding_text(const dom::element& finding) {
    const std::string margin(4, ' ');
    std::string text =
        "  " + text_of(finding, "severity") + ": " + text_of(finding, "instance") + ": " + text_of(finding, "id") + "\n";
    const std::string since = text_of(finding, "since");
    text += wrapped(margin + (since.empty() ? "" : "since " + minute_of(since) + ": ") + about(finding), margin);
    return text + wrapped(margin + "remedy: " + one_line(text_of(finding, "remedy")), margin + "        ");
}

bool is_nothing(const dom::element& value) {
    switch (value.type()) {
        case dom::element_type::NULL_VALUE:
            return true;
        case dom::element_type::BOOL:
            return !value.get_bool().value();
        case dom::element_type::STRING:
            return value.get_string().value().empty();
        case dom::element_type::ARRAY:
            return value.get_array().value().size() == 0;
        case dom::element_type::OBJECT: {
            const dom::object object = value.get_object();
            return std::all_of(object.begin(), object.end(), [](const auto& field) { return is_nothing(field.value); });
        }
        default:
            return value.get_double().value() == 0;
    }
}

void copy_something(json::Writer& writer, const dom::element& value) {
    if (value.is_object()) {
        writer.object();
        for (const auto field : value.get_object())
            if (!is_nothing(field.value)) copy_something(writer.key(field.key), field.value);
        writer.end();
    } else if (value.is_array()) {
        writer.array();
        for (const dom::element item : value.get_array()) copy_something(writer, item);
        writer.end();
    } else {
        writer.raw(simdjson::minify(value));
    }
}

std::string in_one_plugin_line(std::string text) {
    std::replace(text.begin(), text.end(), '|', '/');  // '|' begins the performance data
    return one_line(std::move(text));
}

std::string_view word_of(Verdict::Level level) {
    return level == Verdict::Level::ok ? "OK" : level == Verdict::Level::warning ? "WARNING" : "CRITICAL";
}

}  // namespace

std::string status_screen(std::string_view json) {
    dom::parser parser;
    dom::element root, daemon;
    if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS ||
        root["daemon"].get(daemon) != simdjson::SUCCESS)
        return printable(json) + "\n";
    std::string text = wrapped(fmt::format("flowd-cpp {}: {} since {} ({}), pid {:.0f}", text_of(daemon, "version"),
                                           text_of(daemon, "state"), minute_of(text_of(daemon, "since")),
                                           human_duration(number_of(daemon, "uptimeSeconds")), number_of(daemon, "pid")),
                               "  ");
    std::string configuration = text_of(daemon, "configuration");
    if (const std::string reload = text_of(daemon, "lastReload"); !reload.empty())
        configuration +=
            (text_of(daemon, "lastReloadError").empty() ? ", reloaded " : ", reload failed ") + minute_of(reload);
    text += wrapped("configuration: " + configuration, "  ") + flows_text(root) + "\n\n";

    const std::vector<dom::element> instances = list_of(root, "instances");
    std::size_t width = 0;
    for (const dom::element& one : instances) width = std::max(width, text_width(text_of(one, "instance")));
    for (const dom::element& one : instances) {
        text += cut(pad(text_of(one, "instance"), width) + "  " + doing_of(one), columns) + "\n";
        if (const std::string by = text_of(one, "impliedBy"); !by.empty())
            text += cut(std::string(width + 2, ' ') + "implied by " + by, columns) + "\n";
    }
    if (instances.empty()) text += "no instances\n";

    const std::vector<dom::element> findings = findings_of(root);
    if (findings.empty()) return text + "\nno findings\n";
    text += "\nfindings:\n";
    std::size_t shown = 0;
    for (; shown < findings.size(); ++shown) {
        const std::string next = finding_text(findings[shown]);
        const bool is_last = shown + 1 == findings.size();
        if (shown > 0 && lines_of(text) + lines_of(next) + (is_last ? 0 : 1) > lines) break;
        text += next;
    }
    if (shown < findings.size()) text += fmt::format("  and {} more: flowd-cpp findings\n", findings.size() - shown);
    return text;
}

std::string findings_text(std::string_view json) {
    dom::parser parser;
    dom::array all;
    std::string text;
    if (parser.parse(json.data(), json.size()).get(all) != simdjson::SUCCESS) return text;
    for (const dom::element& one : worst_first({all.begin(), all.end()})) text += finding_text(one);
    return text;
}

std::string instance_screen(std::string_view json, bool colours) {
    dom::parser parser;
    dom::element root, status;
    if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS || !root.is_object())
        return render(json, {colours});
    const bool tells = root["status"].get(status) == simdjson::SUCCESS;
    std::string text;
    json::Writer writer(text);
    writer.object();
    for (const auto field : root.get_object()) {
        if (is_nothing(field.value) || (tells && field.key == "counters")) continue;
        if (field.key != "status" || !field.value.is_object()) {
            copy_something(writer.key(field.key), field.value);
            continue;
        }
        writer.key(field.key).object();
        for (const auto own : field.value.get_object())
            if (own.key != "summary" && !is_nothing(own.value)) copy_something(writer.key(own.key), own.value);
        writer.end();
    }
    writer.end();
    return render(text, {colours});
}

Verdict judge_status(std::string_view json) {
    dom::parser parser;
    dom::element root, daemon;
    if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS ||
        root["daemon"].get(daemon) != simdjson::SUCCESS)
        return no_status("the daemon's answer is not understood");
    int worst = 0;
    std::vector<std::string> problems;
    const auto add = [&](int rank, std::string problem) {
        worst = std::max(worst, rank);
        problems.push_back(in_one_plugin_line(std::move(problem)));
    };
    for (const dom::element& one : findings_of(root)) {
        const std::string severity = text_of(one, "severity");
        if (rank_of(severity) > 0)
            add(rank_of(severity), text_of(one, "instance") + ": " + text_of(one, "id") + ": " + about(one));
    }
    for (const dom::element& one : list_of(root, "instances")) {
        const std::string health = text_of(one, "health");
        if (health == "degraded" || health == "failed")
            add(health == "failed" ? 2 : 1, text_of(one, "instance") + " is " + health + ": " + text_of(one, "summary"));
    }
    const std::string state = text_of(daemon, "state");
    if (state != "running" && state != "reloading") add(1, "the daemon is " + state);

    Verdict verdict{static_cast<Verdict::Level>(worst), {}};
    const std::string instances = counted(list_of(root, "instances").size(), "instance");
    verdict.text = fmt::format("FLOWD-CPP {}: ", word_of(verdict.level));
    verdict.text += problems.empty() ? instances + ", " + flows_text(root) : problems.front();
    if (problems.size() > 1) verdict.text += fmt::format(" (and {} more)", problems.size() - 1);
    verdict.text += fmt::format(" | flows={} findings={}\n", live_flows(root), problems.size());
    if (problems.size() > 1)
        for (const std::string& problem : problems) verdict.text += problem + "\n";
    return verdict;
}

Verdict no_status(std::string_view why) {
    return {Verdict::Level::critical, "FLOWD-CPP CRITICAL: " + in_one_plugin_line(printable(why)) + "\n"};
}

}  // namespace flowd::core::cli
