// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp features`: which features this kernel has, which components need them, and a finding for each that is lacking.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "core/cli/commands.hpp"
#include "core/host/findings.hpp"
#include "core/service/installation.hpp"
#include "core/service/own_findings.hpp"
#include "core/service/status_json.hpp"
#include "flowd/json.hpp"
#include "lib/kernel/capabilities.hpp"
#include "lib/kernel/features.hpp"

namespace flowd::core::cli {
namespace {

constexpr const char* feature_missing = "daemon-kernel-feature-missing";
constexpr const char* capability_missing = "daemon-capability-missing";

/// A requirement of components, and those that have it.
struct Requirement {
    std::string text;  ///< "TCX|clsact"
    std::vector<std::string> needed_by, wanted_by;
};

Requirement& requirement_in(std::vector<Requirement>& all, const std::string& text) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Requirement& one) { return one.text == text; });
    if (found != all.end()) return *found;
    all.push_back({text, {}, {}});
    return all.back();
}

std::vector<Requirement> requirements_of(const Catalog& catalog) {
    std::vector<Requirement> all;
    for (const Catalog::Entry& entry : catalog.entries()) {
        const std::string component = std::string(kind_name(entry.kind)) + " " + entry.name;
        for (const std::string& need : entry.needs) requirement_in(all, need).needed_by.push_back(component);
        for (const std::string& want : entry.wants) requirement_in(all, want).wanted_by.push_back(component);
    }
    return all;
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

Finding finding_of(const kernel::Feature& feature, const Requirement& requirement) {
    Finding finding;
    finding.severity = requirement.needed_by.empty() ? FLOWD_LEVEL_WARNING : FLOWD_LEVEL_ERROR;
    finding.id = feature_missing;
    finding.subject = feature.name;
    finding.found = feature.found;
    finding.expected = feature.expected;
    if (!requirement.needed_by.empty()) finding.expected += "; needed by " + joined(requirement.needed_by);
    if (!requirement.wanted_by.empty()) finding.expected += "; used by " + joined(requirement.wanted_by);
    finding.remedy = feature.remedy;
    return finding;
}

/// A capability that no process of this service or container can have.
void add_rights(std::vector<Finding>& all) {
    const std::string unavailable = kernel::missing_capabilities(kernel::CapabilitySet::bounding);
    if (unavailable.empty()) return;
    Finding finding;
    finding.severity = FLOWD_LEVEL_ERROR;
    finding.id = capability_missing;
    finding.subject = unavailable;
    finding.found = "no process of this service or container can have " + unavailable;
    finding.expected = "BPF programs can be loaded";
    finding.remedy = "add them to CapabilityBoundingSet= of the unit, or to the container (--cap-add)";
    all.push_back(std::move(finding));
}

void write_names(json::Writer& writer, const char* member, const std::vector<Requirement>& all, std::string_view name,
                 std::vector<std::string> Requirement::*components) {
    writer.key(member).array();
    for (const Requirement& requirement : all)
        if (const auto names = kernel::alternatives(requirement.text);
            std::find(names.begin(), names.end(), name) != names.end())
            for (const std::string& component : requirement.*components) writer.value(component);
    writer.end();
}

}  // namespace

ExitCode show_features(const GlobalOptions& options, const Output& output) {
    const Installation installation(install_paths(), options.modules);
    const std::vector<Requirement> requirements = requirements_of(installation.catalog());
    const kernel::Features features;

    std::string text;
    json::Writer writer(text);
    writer.object().key("features").array();
    for (const std::string_view name : kernel::Features::names()) {
        const kernel::Feature feature = features.look(name);
        writer.object().member("feature", feature.name).member("state", kernel::name_of(feature.state));
        writer.member("found", feature.found);
        write_names(writer, "neededBy", requirements, name, &Requirement::needed_by);
        write_names(writer, "usedBy", requirements, name, &Requirement::wanted_by);
        writer.end();
    }
    writer.end();

    FindingsBoard::All all;
    std::vector<Finding>& found = all[OwnFindings::instance];
    ExitCode code = ExitCode::ok;
    for (const Requirement& requirement : requirements) {
        const auto lacking = features.lacking(requirement.text);
        if (!lacking) continue;
        found.push_back(finding_of(*lacking, requirement));
        if (requirement.needed_by.empty() || code == ExitCode::absent) continue;
        code = lacking->state == kernel::FeatureState::denied ? ExitCode::denied : ExitCode::absent;
    }
    add_rights(found);
    if (code == ExitCode::ok &&
        std::any_of(found.begin(), found.end(), [](const Finding& one) { return one.severity == FLOWD_LEVEL_ERROR; }))
        code = ExitCode::denied;
    writer.key("findings").raw(findings_json(all));
    writer.end();
    output.answer(text);
    return code;
}

}  // namespace flowd::core::cli
