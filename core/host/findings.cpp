// SPDX-License-Identifier: Apache-2.0
#include "core/host/findings.hpp"

#include <algorithm>

#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/config/offline_host.hpp"
#include "flowd/label.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {

constexpr std::size_t max_finding_name = 64;

bool is_name(const char* name) {
    return name != nullptr && is_identifier(name, max_finding_name, "-");
}

}  // namespace

flowd_result FindingSink::take(std::vector<Finding>& findings, const flowd_finding& given) {
    if (!is_name(given.id) || given.severity < FLOWD_LEVEL_INFO) return FLOWD_INVALID;
    if (given.found.length == 0 || given.remedy.length == 0) return FLOWD_INVALID;
    if (findings.size() >= most) return FLOWD_LIMIT;
    findings.push_back({given.severity, given.id, cut(given.subject), cut(given.found), cut(given.expected),
                        cut(given.remedy), given.since_ns});
    return FLOWD_OK;
}

flowd_result ExplanationSink::take(std::vector<std::vector<Explanation>>& of_flows, const flowd_explanation& given) {
    if (given.flow >= of_flows.size() || !is_name(given.verdict) || given.text.length == 0) return FLOWD_INVALID;
    auto& explanations = of_flows[given.flow];
    if (explanations.size() >= most) return FLOWD_LIMIT;
    Explanation& added = explanations.emplace_back();
    added = {given.verdict, cut(given.subject), cut(given.text), given.time_ns};
    added.is_refusal = (given.flags & FLOWD_EXPLAINED_NOT) != 0;
    if ((given.flags & FLOWD_EXPLAINED_LABEL) != 0) added.label = given.label & label::mask;
    if ((given.flags & FLOWD_EXPLAINED_TAG) != 0) added.tag = given.tag;
    return FLOWD_OK;
}

void FindingsBoard::set(const std::string& instance, std::vector<Finding> findings) {
    const std::int64_t now = unix_ns();
    const std::lock_guard lock(mutex_);
    std::vector<Finding>& before = all_[instance];
    for (Finding& finding : findings) {
        if (finding.since_ns != 0) continue;
        const auto known = std::find_if(before.begin(), before.end(), [&](const Finding& other) {
            return other.id == finding.id && other.subject == finding.subject;
        });
        finding.since_ns = known != before.end() ? known->since_ns : now;
    }
    before = std::move(findings);
}

void FindingsBoard::keep_only(const std::vector<std::string>& instances) {
    const std::lock_guard lock(mutex_);
    std::erase_if(all_, [&](const auto& entry) {
        return std::find(instances.begin(), instances.end(), entry.first) == instances.end();
    });
}

FindingsBoard::All FindingsBoard::all() const {
    const std::lock_guard lock(mutex_);
    return all_;
}

std::vector<MetricSample> FindingsBoard::metrics() const {
    std::map<MetricLabels, std::size_t> counts;
    for (const auto& [instance, findings] : all())
        for (const Finding& finding : findings)
            ++counts[{{"flowd_instance", instance},
                      {"id", finding.id},
                      {"severity", std::string(severity_name(finding.severity))}}];
    std::vector<MetricSample> samples;
    samples.reserve(counts.size());
    for (const auto& [labels, count] : counts)
        samples.push_back({MetricType::gauge,
                           "findings",
                           "Findings of instances at the last check.",
                           {},
                           labels,
                           static_cast<double>(count),
                           {},
                           {}});
    return samples;
}

std::vector<Finding> findings_of(const Problems& problems) {
    std::vector<Finding> all;
    for (const Problem& problem : problems)
        if (!problem.id.empty())
            all.push_back({problem.level, problem.id, problem.path,
                           problem.found.empty() ? problem.message : problem.found + ": " + problem.message,
                           problem.allowed.empty() ? "a configuration without this warning" : problem.allowed,
                           problem.hint});
    return all;
}

std::vector<Finding> host_findings(const InstanceConfig& config, const Registry& registry,
                                   const std::function<void(flowd_level, std::string_view)>& log,
                                   std::vector<OfflineHost::Interface>* interfaces) {
    FindingSink sink;
    try {
        const flowd_component& component = *config.component;
        const void* const table = component.offline == nullptr ? nullptr : component.offline(FLOWD_EXT_FINDINGS);
        const auto offered = copy_sized<flowd_ext_findings>(table);
        if (offered.offline == nullptr) return {};
        const OfflineHost host(registry, config.key, version(), {log, {}, {}, interfaces});
        if (offered.offline(host.abi(), &config.value(), sink.abi()) != FLOWD_OK)
            log(FLOWD_LEVEL_WARNING, "this host could not be checked completely");
    } catch (...) {
        log(FLOWD_LEVEL_ERROR, "the module threw an exception");
    }
    return std::move(sink.received());
}

std::string_view severity_name(flowd_level severity) {
    return severity >= FLOWD_LEVEL_ERROR ? "error" : severity >= FLOWD_LEVEL_WARNING ? "warning" : "note";
}

void write_finding(json::Writer& writer, std::string_view instance, const Finding& finding) {
    writer.object().member("severity", severity_name(finding.severity)).member("id", finding.id);
    writer.member("instance", instance).member("subject", finding.subject).member("found", finding.found);
    writer.member("expected", finding.expected).member("remedy", finding.remedy);
    writer.member("since", utc_text(finding.since_ns)).end();
}

}  // namespace flowd::core
