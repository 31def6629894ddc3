// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp verify`: collects findings, and the results of tools named "verify" (flowd/verify.hpp). It knows no module.
#include <simdjson.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "core/base/text.hpp"
#include "core/base/trust.hpp"
#include "core/cli/commands.hpp"
#include "core/cli/interrupt.hpp"
#include "core/cli/member_text.hpp"
#include "core/cli/render.hpp"
#include "core/cli/status_view.hpp"
#include "core/cli/tool_call.hpp"
#include "core/cli/tool_words.hpp"
#include "core/control/client.hpp"
#include "core/service/installation.hpp"
#include "core/service/status_json.hpp"
#include "flowd/json.hpp"

namespace flowd::core::cli {
namespace {

namespace dom = simdjson::dom;

struct Found {
    std::string instance, severity, id, subject, found, expected, remedy, since;

    [[nodiscard]] int rank() const { return severity == "error" ? 2 : severity == "warning" ? 1 : 0; }
    [[nodiscard]] bool is_of(const Found& other) const {
        return instance == other.instance && id == other.id && subject == other.subject;
    }
};

class VerifyReport {
  public:
    /// The same finding from a tool and the running instance is added once: the more severe of them, else the first.
    void add(Found found) {
        // The running daemon is verified, and its configuration is not the one on disk.
        if (found.id == "daemon-configuration-changed") found.severity = "error";
        const auto known = std::find_if(found_.begin(), found_.end(), [&](const Found& one) { return one.is_of(found); });
        if (known == found_.end()) return found_.push_back(std::move(found));
        if (found.rank() > known->rank()) std::swap(*known, found);
        if (known->since.empty()) known->since = found.since;
    }
    /// `instance`: for findings that do not name one.
    void add_all(const dom::array& findings, const std::string& instance = {}) {
        for (const dom::element one : findings) {
            const std::string named = text_of(one, "instance");
            add({named.empty() ? instance : named, text_of(one, "severity"), text_of(one, "id"), text_of(one, "subject"),
                 text_of(one, "found"), text_of(one, "expected"), text_of(one, "remedy"), text_of(one, "since")});
        }
    }
    void add_rows(const std::string& instance, std::string_view rows) { rows_.emplace_back(instance, rows); }

    [[nodiscard]] ExitCode exit_code() const {
        int worst = 0;
        for (const Found& one : found_) worst = std::max(worst, one.rank());
        return static_cast<ExitCode>(worst);
    }
    [[nodiscard]] std::string json() const {
        std::string text;
        json::Writer writer(text);
        writer.object().key("instances").array();
        for (const auto& [instance, rows] : rows_) {
            writer.object().member("instance", instance).key("rows").raw(rows);
            writer.end();
        }
        writer.end().key("findings").raw(findings()).end();
        return text;
    }
    [[nodiscard]] std::string screen(bool colours) const {
        std::string text;
        for (const auto& [instance, rows] : rows_)
            if (rows != "[]") text += instance + "\n" + render(rows, {colours}) + "\n";
        return text + (found_.empty() ? "no findings\n" : "findings:\n" + findings_text(findings()));
    }

  private:
    [[nodiscard]] std::string findings() const {
        std::string text;
        json::Writer writer(text);
        writer.array();
        for (const Found& one : found_) {
            writer.object().member("severity", one.severity).member("id", one.id).member("instance", one.instance);
            writer.member("subject", one.subject).member("found", one.found).member("expected", one.expected);
            writer.member("remedy", one.remedy).member("since", one.since).end();
        }
        writer.end();
        return text;
    }

    std::vector<Found> found_;
    std::vector<std::pair<std::string, std::string>> rows_;  // instance, and the rows of its report as JSON
};

void add_findings(VerifyReport& report, std::string_view json) {
    dom::parser parser;
    dom::array findings;
    if (parser.parse(json.data(), json.size()).get(findings) == simdjson::SUCCESS) report.add_all(findings);
}

/// The arguments of `flowd-cpp verify` that this tool declares as options.
std::vector<std::string> words_for(const Tool& tool, const VerifyRequest& request) {
    std::vector<std::string> words;
    const auto add = [&](const char* name, const std::string& value) {
        const bool has =
            std::any_of(tool.options.begin(), tool.options.end(), [&](const Option& o) { return o.name == name; });
        if (has) words.push_back("--" + std::string(name) + "=" + value);
    };
    if (request.seconds) add("seconds", std::to_string(*request.seconds) + "s");
    if (request.probe) add("probe", "true");
    if (!request.path.empty()) add("to", request.path);
    if (request.port) add("port", std::to_string(*request.port));
    return words;
}

Result<std::string> look(const Tool& tool, const ToolSite& site, const InstanceConfig& instance,
                         const VerifyRequest& request) {
    ValueTree values;
    Problems problems;
    const Binder::Trust trust = [](const std::filesystem::path& file) { return trusted_path(file); };
    if (!bind_tool_words(tool, "flowd-cpp verify", words_for(tool, request), site.registry, trust, values, problems))
        return Error{FLOWD_INVALID, problems.to_string()};
    std::string printed;
    const auto done = call_tool(tool, site, values, &instance, [&printed](std::string_view json) {
        printed += json;
        return true;
    });
    if (!done) return done.error();
    return printed;
}

void add_answer(VerifyReport& report, const std::string& instance, const Result<std::string>& answer) {
    dom::parser parser;
    dom::element root;
    dom::array rows, findings;
    const auto incomplete = [&](const std::string& why, const std::string& hint) {
        report.add({instance, "warning", "daemon-not-verified", "", printable(why), "a complete verification",
                    hint.empty() ? "see what is found" : printable(hint), ""});
    };
    if (!answer) return incomplete(answer.error().message, answer.error().hint);
    if (parser.parse(*answer).get(root) != simdjson::SUCCESS || root["rows"].get(rows) != simdjson::SUCCESS ||
        root["findings"].get(findings) != simdjson::SUCCESS)
        return incomplete("the module's tool does not print rows and findings", "report this defect of the module");
    report.add_rows(instance, simdjson::minify(rows));
    report.add_all(findings, instance);
}

/// Calls the tool of all configured instances that have it. True: there was one.
bool ask_tools(VerifyReport& report, const Configuration& configuration, const ToolSite& site,
               const VerifyRequest& request) {
    const std::string name = request.path.empty() ? "verify" : "verify-path";
    bool any = false;
    for (const InstanceConfig& instance : configuration.instances) {
        const auto tools = read_tools(*instance.component);
        if (!tools) continue;
        const auto tool = std::find_if(tools->begin(), tools->end(), [&](const Tool& one) { return one.name == name; });
        if (tool == tools->end()) continue;
        any = true;
        const ToolSite here{site.registry, site.options, instance.key, site.interrupt_fd};
        add_answer(report, std::string(kind_name(instance.kind)) + " " + instance.key,
                   look(*tool, here, instance, request));
    }
    return any;
}

/// The daemon did not answer. Everything else would be a consequence: nothing is marked or sent.
Found no_answer(const Error& error, bool is_usable) {
    const std::string found = printable(error.message);
    if (error.code == FLOWD_DENIED)
        return {"daemon", "error", "daemon-not-verified", "", found, "a complete verification", "run it as root", ""};
    return {"daemon",
            "error",
            "daemon-not-running",
            "",
            found,
            "a running daemon",
            is_usable ? "systemctl start flowd-cpp" : "flowd-cpp check",
            ""};
}

}  // namespace

ExitCode verify(const GlobalOptions& options, const Output& output, const VerifyRequest& request) {
    const auto interrupt = Interrupt::listen();
    if (!interrupt) return output.fail(interrupt.error());
    Installation installation(install_paths(), options.modules);
    const LoadedConfiguration loaded = installation.load(options.conf, {true, {}});
    const ToolSite site{installation.registry(), options, {}, (*interrupt)->fd()};
    VerifyReport report;
    const std::string control = control_path(options);
    const auto reply = control::request(control, {"findings"});
    if (!reply) {
        report.add(no_answer(reply.error(), loaded.configuration.has_value()));
        if (loaded.configuration && reply.error().code != FLOWD_DENIED)
            add_findings(report, findings_json(look_at_host(*loaded.configuration, installation.registry(), output)));
    } else if (loaded.configuration && !ask_tools(report, *loaded.configuration, site, request) && !request.path.empty()) {
        return output.fail(ExitCode::module, "no configured module can verify a path",
                           "configure the backend that marks packets: backends: {marker: {}}");
    }
    if (reply) {
        const auto now = control::request(control, {"findings"});
        if (!now) report.add(no_answer(now.error(), loaded.configuration.has_value()));
        if (now && request.path.empty()) add_findings(report, now->json);
    }
    if (output.json)
        output.answer(report.json());
    else
        output.out << report.screen(output.colours);
    return report.exit_code();
}

}  // namespace flowd::core::cli
