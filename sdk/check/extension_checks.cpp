// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "core/config/offline_host.hpp"
#include "flowd/abi/ext/command.h"
#include "flowd/abi/ext/explain.h"
#include "flowd/abi/ext/findings.h"
#include "flowd/abi/ext/plan.h"
#include "flowd/abi/ext/status.h"
#include "flowd/sized.hpp"
#include "sdk/check/guarded_memory.hpp"
#include "sdk/check/life.hpp"

namespace flowd::check {

namespace {

Outcome unknown_extension(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (life.create() != FLOWD_OK) return Outcome::skip("create failed");
        for (const char* id : {"org.example.unknown/1", "", "flowd.command/2", "flowd.command", "flowd.status/999"})
            if (life.extension(id) != nullptr) return Outcome::fail(fmt::format("extension(\"{}\") is not null", id));
        return Outcome::pass();
    });
}

flowd_writer writer_into(std::string& text) {
    flowd_writer writer{};
    writer.size = sizeof writer;
    writer.context = &text;
    writer.write = [](const flowd_writer* self, flowd_string piece) -> flowd_result {
        static_cast<std::string*>(self->context)->append(to_view(piece));
        return FLOWD_OK;
    };
    return writer;
}

bool is_json(const std::string& text) {
    simdjson::dom::parser parser;
    simdjson::dom::element element;
    return parser.parse(text).get(element) == simdjson::SUCCESS;
}

/// The two reserved members of a status; both are optional.
Outcome reserved_members(simdjson::dom::object status) {
    simdjson::dom::element member;
    std::string_view text;
    if (status["state"].get(member) == simdjson::SUCCESS && member.get(text) != simdjson::SUCCESS)
        return Outcome::fail("member 'state' of its status is not a string");
    if (status["summary"].get(member) != simdjson::SUCCESS) return Outcome::pass();
    if (member.get(text) != simdjson::SUCCESS) return Outcome::fail("member 'summary' of its status is not a string");
    // A column for each UTF-8 character; combining and wide ones are the author's to count.
    const auto columns = std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
    if (columns > 60)
        return Outcome::fail(fmt::format("member 'summary' of its status has {} columns; at most 60 are shown", columns));
    if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
        return Outcome::fail("member 'summary' of its status has a control character");
    return Outcome::pass();
}

Outcome status_is_json(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (!life.up()) return Outcome::skip(life.down());
        const auto* raw = life.extension(FLOWD_EXT_STATUS);
        if (raw == nullptr) return Outcome::absent("it does not offer " FLOWD_EXT_STATUS);
        const auto offered = copy_sized<flowd_ext_status>(raw);
        if (offered.status == nullptr) return Outcome::fail("member 'status' of its flowd_ext_status is missing");
        std::string text;
        const flowd_writer writer = writer_into(text);
        flowd_result result = FLOWD_ERROR;
        life.live({[&] { result = life.guarded("status", [&] { return offered.status(life.raw(), &writer); }); }});
        life.destroy();
        if (result < 0) return Outcome::fail("status returned " + result_name(result));
        simdjson::dom::parser parser;
        simdjson::dom::object object;
        if (parser.parse(text).get(object) != simdjson::SUCCESS)
            return Outcome::fail("status wrote what is not a JSON object: " + text);
        return reserved_members(object);
    });
}

Outcome check_commands(const flowd_ext_command& offered) {
    if (offered.run == nullptr) return Outcome::fail("member 'run' of its flowd_ext_command is missing");
    const auto* at = reinterpret_cast<const std::byte*>(offered.commands);
    for (std::size_t i = 0; i < offered.command_count; ++i, at += offered.command_stride) {
        const auto command = copy_sized<flowd_command>(at);
        if (command.size < offsetof(flowd_command, name)) return Outcome::fail(fmt::format("command {} has no size", i));
        if (command.name == nullptr || *command.name == '\0')
            return Outcome::fail(fmt::format("command {} has no name", i));
        if (command.summary == nullptr) return Outcome::fail(fmt::format("command '{}' has no summary", command.name));
    }
    return Outcome::pass();
}

Outcome commands_answer(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (!life.up()) return Outcome::skip(life.down());
        const void* extension = life.extension(FLOWD_EXT_COMMAND);
        if (extension == nullptr) return Outcome::absent("it does not offer " FLOWD_EXT_COMMAND);
        const auto offered = copy_sized<flowd_ext_command>(extension);
        if (Outcome outcome = check_commands(offered); outcome.verdict != Outcome::Verdict::passed) return outcome;
        static constexpr char unknown[] = "no-such-command";
        const flowd_string arguments[] = {{unknown, sizeof unknown - 1}};
        std::string text;
        const flowd_writer writer = writer_into(text);
        flowd_result result = FLOWD_OK;
        life.live(
            {[&] { result = life.guarded("command", [&] { return offered.run(life.raw(), arguments, 1, &writer); }); }});
        life.destroy();
        if (result >= 0) return Outcome::fail("an unknown command succeeded");
        if (!is_json(text)) return Outcome::fail("an unknown command was not answered with JSON, but with: " + text);
        return Outcome::pass();
    });
}

/// [a-z][a-z0-9-]*
bool is_word(const char* text) {
    const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
    if (text == nullptr || !lower(*text)) return false;
    for (; *text != '\0'; ++text)
        if (!lower(*text) && (*text < '0' || *text > '9') && *text != '-') return false;
    return true;
}

/// What is wrong with what was added; empty: nothing.
struct Judged {
    std::string fault = {};
    std::set<std::pair<std::string, std::string>> seen = {};  ///< findings: id and subject
    std::map<std::uint32_t, std::size_t> of_flow = {};        ///< explanations of each flow
    std::uint32_t flows = 0;

    flowd_result refuse(std::string what) {
        if (fault.empty()) fault = std::move(what);
        return FLOWD_INVALID;
    }
};

flowd_result judge_finding(Judged& judged, const flowd_finding& finding) {
    constexpr std::size_t most = 256;
    if (!is_word(finding.id))
        return judged.refuse(fmt::format("a finding has the id '{}': it is [a-z][a-z0-9-]*", finding.id ? finding.id : ""));
    const auto called = [&](std::string_view what) {
        return judged.refuse(fmt::format("finding {} {}", finding.id, what));
    };
    if (finding.severity != FLOWD_LEVEL_INFO && finding.severity != FLOWD_LEVEL_WARNING &&
        finding.severity != FLOWD_LEVEL_ERROR)
        return called(fmt::format("has the severity {}: it is INFO, WARNING or ERROR", finding.severity));
    if (finding.found.length == 0) return called("does not say what was found");
    if (finding.remedy.length == 0) return called("has no remedy");
    if (!judged.seen.emplace(finding.id, to_view(finding.subject)).second)
        return called("is there twice with the same subject");
    return judged.seen.size() <= most ? FLOWD_OK : FLOWD_LIMIT;
}

flowd_result judge_explanation(Judged& judged, const flowd_explanation& explanation) {
    constexpr std::size_t most = 64;
    if (explanation.flow >= judged.flows)
        return judged.refuse(fmt::format("an explanation is of flow {} in a batch of {}", explanation.flow, judged.flows));
    if (!is_word(explanation.verdict))
        return judged.refuse(fmt::format("an explanation has the verdict '{}': it is [a-z][a-z0-9-]*",
                                         explanation.verdict ? explanation.verdict : ""));
    if (explanation.text.length == 0) return judged.refuse(fmt::format("explanation {} has no text", explanation.verdict));
    return ++judged.of_flow[explanation.flow] <= most ? FLOWD_OK : FLOWD_LIMIT;
}

flowd_findings findings_into(Judged& judged) {
    flowd_findings findings{};
    findings.size = sizeof findings;
    findings.context = &judged;
    findings.add = [](const flowd_findings* self, const flowd_finding* finding) {
        return judge_finding(*static_cast<Judged*>(self->context), copy_sized<flowd_finding>(finding));
    };
    return findings;
}

Outcome verdict(const Judged& judged, const char* call, flowd_result result) {
    if (!judged.fault.empty()) return Outcome::fail(judged.fault);
    if (result < 0) return Outcome::fail(fmt::format("{} returned {}", call, result_name(result)));
    return Outcome::pass();
}

Outcome findings_of_an_instance(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (!life.up()) return Outcome::skip(life.down());
        const void* raw = life.extension(FLOWD_EXT_FINDINGS);
        if (raw == nullptr) return Outcome::absent("it does not offer " FLOWD_EXT_FINDINGS);
        const auto offered = copy_sized<flowd_ext_findings>(raw);
        if (offered.instance == nullptr) return Outcome::fail("member 'instance' of its flowd_ext_findings is missing");
        Judged judged;
        const flowd_findings findings = findings_into(judged);
        flowd_result result = FLOWD_ERROR;
        life.live({[&] { result = life.guarded("findings", [&] { return offered.instance(life.raw(), &findings); }); }});
        life.destroy();
        return verdict(judged, "findings", result);
    });
}

Outcome findings_offline(Subject& subject) {
    const auto config = subject.config();
    if (!config) return without_config(config.error());
    const flowd_component& component = *(*config)->component;
    const void* raw = component.offline == nullptr ? nullptr : component.offline(FLOWD_EXT_FINDINGS);
    if (raw == nullptr) return Outcome::absent("it does not offer " FLOWD_EXT_FINDINGS " without an instance");
    const auto offered = copy_sized<flowd_ext_findings>(raw);
    if (offered.offline == nullptr) return Outcome::fail("member 'offline' of its flowd_ext_findings is missing");
    const core::OfflineHost host(subject.registry(), subject.target().component, "check",
                                 {[](flowd_level, std::string_view) {}, [](const flowd_problem&) {}});
    Judged judged;
    const flowd_findings findings = findings_into(judged);
    subject.progress().enter("offline findings");
    const flowd_result result = offered.offline(host.abi(), &(*config)->value(), &findings);
    subject.progress().enter({});
    return verdict(judged, "offline findings", result);
}

Outcome explanations(Subject& subject) {
    return with_life(subject, [](Life& life, ProbeHost&) {
        if (!life.up()) return Outcome::skip(life.down());
        const void* raw = life.extension(FLOWD_EXT_EXPLAIN);
        if (raw == nullptr) return Outcome::absent("it does not offer " FLOWD_EXT_EXPLAIN);
        const auto offered = copy_sized<flowd_ext_explain>(raw);
        if (offered.explain == nullptr) return Outcome::fail("member 'explain' of its flowd_ext_explain is missing");
        std::vector<flowd_flow> flows(3);
        for (std::size_t i = 0; i < flows.size(); ++i) {
            flows[i].size = sizeof(flowd_flow);
            flows[i].flow_id = i;  // 0: not in the flow table
            flows[i].key.source[0] = flows[i].key.destination[0] = 0x20;
            flows[i].key.source[15] = 1;
            flows[i].key.destination[15] = 2;
            flows[i].key.source_port = static_cast<std::uint16_t>(40000 + i);
            flows[i].key.destination_port = 443;
            flows[i].key.protocol = 6;
        }
        const GuardedArray<flowd_flow> array(flows, 64);  // as of a later core
        Judged judged;
        flowd_explanations sink{};
        sink.size = sizeof sink;
        sink.context = &judged;
        sink.add = [](const flowd_explanations* self, const flowd_explanation* explanation) {
            return judge_explanation(*static_cast<Judged*>(self->context), copy_sized<flowd_explanation>(explanation));
        };
        flowd_result result = FLOWD_ERROR;
        life.live({[&] {
            for (const std::size_t count : {array.count(), std::size_t{0}}) {
                judged.flows = static_cast<std::uint32_t>(count);
                result = life.guarded(
                    "explain", [&] { return offered.explain(life.raw(), array.data(), count, array.stride(), &sink); });
                if (result < 0) break;
            }
        }});
        life.destroy();
        return verdict(judged, "explain", result);
    });
}

Outcome plan_offline(Subject& subject) {
    const auto config = subject.config();
    if (!config) return without_config(config.error());
    const flowd_component& component = *(*config)->component;
    const void* raw = component.offline == nullptr ? nullptr : component.offline(FLOWD_EXT_PLAN);
    if (raw == nullptr) return Outcome::absent("it does not offer " FLOWD_EXT_PLAN);
    const auto offered = copy_sized<flowd_ext_plan>(raw);
    if (offered.offline == nullptr) return Outcome::fail("member 'offline' of its flowd_ext_plan is missing");
    const core::OfflineHost host(subject.registry(), subject.target().component, "check",
                                 {[](flowd_level, std::string_view) {}, [](const flowd_problem&) {}});
    std::vector<flowd_connection> connections(3);
    for (std::size_t i = 0; i < connections.size(); ++i) {
        flowd_connection& one = connections[i];
        one.size = sizeof one;
        one.key.source[0] = 0x20;
        one.key.source_port = static_cast<std::uint16_t>(40000 + i);
        one.key.protocol = i == 1 ? 17 : 6;
        one.state = i == 2 ? 10 : 1;
        if (i == 2) continue;  // it listens
        one.key.destination[0] = 0x20;
        one.key.destination[15] = 2;
        one.key.destination_port = 443;
    }
    const GuardedArray<flowd_connection> array(connections, 64);  // as of a later core
    Judged judged;
    flowd_plan sink{};
    sink.size = sizeof sink;
    sink.context = &judged;
    sink.add = [](const flowd_plan* self, const flowd_planned* planned) -> flowd_result {
        auto& to = *static_cast<Judged*>(self->context);
        const auto one = copy_sized<flowd_planned>(planned);
        if (one.connection >= to.flows)
            return to.refuse(fmt::format("a plan is of connection {} in a list of {}", one.connection, to.flows));
        if (one.outcome == FLOWD_PLANNED_NOT && one.text.length == 0)
            return to.refuse(fmt::format("the plan of connection {} gives neither a tag nor a reason", one.connection));
        if (++to.of_flow[one.connection] > 1)
            return to.refuse(fmt::format("there are several plans of connection {}", one.connection));
        return FLOWD_OK;
    };
    subject.progress().enter("offline plan");
    flowd_result result = FLOWD_OK;
    for (const std::size_t count : {array.count(), std::size_t{0}}) {
        judged.flows = static_cast<std::uint32_t>(count);
        judged.of_flow.clear();
        result = offered.offline(host.abi(), &(*config)->value(), array.data(), count, array.stride(), &sink);
        if (result < 0) break;
    }
    subject.progress().enter({});
    return verdict(judged, "offline plan", result);
}

}  // namespace

std::vector<Check> extension_checks() {
    return {
        {"extension-unknown", "returns null for extensions that it does not have", every_kind, unknown_extension},
        {"status", "flowd.status/1 writes one JSON object; a summary has at most 60 columns", every_kind, status_is_json},
        {"command", "flowd.command/1 names its commands and refuses unknown ones in JSON", every_kind, commands_answer},
        {"findings", "flowd.findings/1 of an instance: each has an id, a severity, what was found and a remedy, once",
         every_kind, findings_of_an_instance},
        {"findings-offline", "the same of the component without an instance", every_kind, findings_offline},
        {"explain", "flowd.explain/1 explains only the flows of the request, each with a verdict and a sentence",
         every_kind, explanations},
        {"plan", "flowd.plan/1 has at most one entry for each connection, with a tag or a reason", every_kind,
         plan_offline},
    };
}

}  // namespace flowd::check
