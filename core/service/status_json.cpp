// SPDX-License-Identifier: Apache-2.0
#include "core/service/status_json.hpp"

#include <simdjson.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/config/tag_text.hpp"
#include "flowd/address.hpp"
#include "flowd/filter.hpp"
#include "flowd/protocol.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {

void write_daemon(json::Writer& w, const DaemonStatus& daemon) {
    w.key("daemon").object();
    w.member("version", version()).member("state", daemon.state).member("pid", ::getpid());
    w.member("since", utc_text(daemon.started_ns));
    w.member("uptimeSeconds", static_cast<double>(steady_ns() - daemon.started_steady_ns) / 1e9)
        .member("configuration", daemon.config);
    w.member("reloads", daemon.reloads).member("reloadsFailed", daemon.reloads_failed);
    w.member("lastReload", utc_text(daemon.last_reload_ns)).member("lastReloadError", daemon.last_reload_error);
    w.end();
}

/// The standard members of a module's status (flowd/abi/ext/status.h).
struct Reserved {
    std::string summary;
    std::string state;  ///< "ok", "degraded" or "failed"; empty: not reported
};

/// At most 60 columns, counted as code points, without line breaks and terminal escape sequences.
std::string short_line(std::string_view text) {
    constexpr std::size_t columns = 60;
    std::size_t end = 0;
    for (std::size_t seen = 0; end < text.size(); ++end) {
        const bool begins = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
        if (begins && seen++ == columns) break;
    }
    std::string line = printable(text.substr(0, end));
    std::replace(line.begin(), line.end(), '\n', ' ');
    return line;
}

Reserved reserved_of(const std::string* detail) {
    Reserved reserved;
    simdjson::dom::parser parser;
    simdjson::dom::element document;
    if (detail == nullptr || parser.parse(*detail).get(document) != simdjson::SUCCESS) return reserved;
    std::string_view text;
    if (document["summary"].get(text) == simdjson::SUCCESS) reserved.summary = short_line(text);
    if (document["state"].get(text) == simdjson::SUCCESS)
        reserved.state = text == "ok" || text == "failed" ? text : "degraded";
    return reserved;
}

/// Writes the members of an open object.
void write_members(json::Writer& w, const Instance& instance, const std::string* detail) {
    const Reserved reserved = reserved_of(detail);
    const InstanceStatus status = instance.status();
    w.member("instance", instance.name())
        .member("state", to_string(status.state))
        .member("since", utc_text(status.since_ns));
    if (!reserved.state.empty()) w.member("health", reserved.state);
    if (!reserved.summary.empty()) w.member("summary", reserved.summary);
    if (const std::string& by = instance.config()->implied_by; !by.empty()) w.member("impliedBy", by);
    w.member("required", instance.config()->required);
    w.member("errors", status.errors + status.bad_results + status.exceptions);
    w.member("exceptions", status.exceptions);
    if (instance.kind() == FLOWD_BACKEND)
        w.member("batches", status.batches)
            .member("batchesFailed", status.batches_failed)
            .member("eventsLost", status.events_lost);
    if (instance.kind() == FLOWD_ENRICHER) w.member("periodsMissed", status.periods_missed);
    // Only a long call is reported: meanwhile the thread does nothing else.
    if (status.in_call_ns > 1'000'000'000) {
        w.member("stuckIn", status.in_call).member("stuckSeconds", static_cast<double>(status.in_call_ns) / 1e9);
    }
    w.member("lastError", status.last_error).member("lastErrorTime", utc_text(status.last_error_ns));
}

void write_instance(json::Writer& w, const Instance& instance, const std::string* detail) {
    w.object();
    write_members(w, instance, detail);
    w.end();
}

/// A series on one line: name{label="value"}.
std::string series_name(const MetricSample& sample) {
    std::string labels;
    for (const auto& [label, value] : sample.labels)
        if (label != "flowd_instance") labels += fmt::format("{}{}={}", labels.empty() ? "" : ",", label, value);
    return labels.empty() ? sample.name : fmt::format("{}{{{}}}", sample.name, labels);
}

void write_number(json::Writer& w, std::string_view name, double value) {
    if (value >= 0 && value < 9e15 && value == static_cast<double>(static_cast<std::uint64_t>(value)))
        w.member(name, static_cast<std::uint64_t>(value));
    else
        w.member(name, value);
}

void write_counters(json::Writer& w, const std::vector<MetricSample>& samples) {
    w.key("counters").object();
    for (const MetricSample& sample : samples) write_number(w, series_name(sample), sample.value);
    w.end();
}

void write_details(json::Writer& w, const Instance& instance, const Services& services, const std::string* detail) {
    const std::vector<MetricSample> samples = services.metrics.snapshot("flowd_instance", instance.name());
    if (samples.empty() && detail == nullptr) return;
    w.key(instance.name()).object();
    if (detail != nullptr) w.key("status").raw(*detail);
    if (!samples.empty()) write_counters(w, samples);
    w.end();
}

/// Counts by result, with the names of the metrics' labels.
template <typename Enum, std::size_t N>
void write_counts(json::Writer& w, std::string_view member, const std::array<std::uint64_t, N>& counts) {
    w.key(member).object();
    for (std::size_t i = 0; i < N; ++i)
        if (counts[i] != 0) w.member(name_of(static_cast<Enum>(i)), counts[i]);
    w.end();
}

template <std::size_t N>
std::uint64_t sum(const std::array<std::uint64_t, N>& counts) {
    std::uint64_t total = 0;
    for (const std::uint64_t count : counts) total += count;
    return total;
}

void write_edge(json::Writer& w, const AnnouncerCounters& edge) {
    w.object();
    w.member("plugin", edge.name).member("live", edge.live).member("offered", sum(edge.offered));
    w.member("accepted", edge.accepted).member("refused", sum(edge.refused));
    write_counts<Effect>(w, "effects", edge.effects);
    write_counts<Refusal>(w, "refusals", edge.refused);
    w.end();
}

void write_edge(json::Writer& w, const BackendCounters& edge) {
    w.object();
    w.member("backend", edge.name).member("delivered", sum(edge.delivered));
    w.member("start", edge.delivered[FLOWD_EVENT_START]).member("ongoing", edge.delivered[FLOWD_EVENT_ONGOING]);
    w.member("end", edge.delivered[FLOWD_EVENT_END]);
    w.member("refused", edge.refused).member("failed", edge.failed).member("heldFull", edge.held);
    w.member("shedOngoing", edge.shed_ongoing).member("refusedFull", edge.refused_full).member("missed", edge.missed);
    w.member("resynced", edge.resynced).member("givenUp", edge.given_up).member("stalls", edge.stalls);
    w.member("depth", edge.depth).member("highWater", edge.high_water).member("capacity", edge.capacity);
    w.member("queuedBytes", edge.bytes).member("behind", edge.behind);
    const std::uint64_t events = sum(edge.latency);
    w.member("latencyMeanSeconds",
             events == 0 ? 0.0 : static_cast<double>(edge.latency_sum_us) / 1e6 / static_cast<double>(events));
    w.end();
}

void write_bus(json::Writer& w, const BusCounters& bus) {
    w.key("flows").object();
    w.member("live", bus.live)
        .member("endedKept", bus.ended_kept)
        .member("owed", bus.owed)
        .member("tombstonesCutShort", bus.tombstones_cut_short)
        .member("tableBytes", bus.table_bytes);
    w.member("samples", bus.samples).member("samplesUnknown", bus.samples_unknown);
    w.member("samplesInvalid", bus.samples_invalid).member("samplesShed", bus.samples_shed);
    w.member("attachmentsNotKept", bus.attachments_not_kept);
    write_counts<Expiry>(w, "expired", bus.expired);
    w.end();

    w.key("announcers").array();
    for (const AnnouncerCounters& edge : bus.announcers) write_edge(w, edge);
    w.end();

    w.key("queues").array();
    for (const BackendCounters& edge : bus.backends) write_edge(w, edge);
    w.end();
}

/// Writes the instance's edge of the bus as `member`.
template <typename Counters>
void write_own_edge(json::Writer& w, std::string_view member, const std::vector<Counters>& edges, const std::string& key) {
    for (const Counters& edge : edges) {
        if (edge.name != key) continue;
        w.key(member);
        write_edge(w, edge);
    }
}

}  // namespace

std::string instance_status_json(const Instance& instance, const Services& services, const std::string* detail) {
    std::string out;
    json::Writer w(out);
    w.object();
    write_members(w, instance, detail);
    FindingsBoard::All about;
    for (auto& [finder, findings] : services.findings.all())
        for (const Finding& one : findings)
            if (finder == instance.name() || one.subject == instance.name()) about[finder].push_back(one);
    w.key("findings").raw(findings_json(about));
    const BusCounters bus = services.bus.counters();
    if (instance.kind() == FLOWD_PLUGIN) write_own_edge(w, "announcer", bus.announcers, instance.key());
    if (instance.kind() == FLOWD_BACKEND) write_own_edge(w, "queue", bus.backends, instance.key());
    if (detail != nullptr) w.key("status").raw(*detail);
    write_counters(w, services.metrics.snapshot("flowd_instance", instance.name()));
    w.end();
    return out;
}

std::string status_json(const DaemonStatus& daemon, const Supervisor& supervisor, const Services& services,
                        const std::map<std::string, std::string>& details) {
    std::string out;
    json::Writer w(out);
    w.object();
    write_daemon(w, daemon);
    w.key("instances").array();
    for (const auto& instance : supervisor.instances()) {
        const auto detail = details.find(instance->name());
        write_instance(w, *instance, detail == details.end() ? nullptr : &detail->second);
    }
    for (const auto& instance : supervisor.abandoned()) write_instance(w, *instance, nullptr);
    w.end();
    write_bus(w, services.bus.counters());
    w.key("findings").raw(findings_json(services.findings.all()));
    w.key("details").object();
    for (const auto& instance : supervisor.instances()) {
        const auto detail = details.find(instance->name());
        write_details(w, *instance, services, detail == details.end() ? nullptr : &detail->second);
    }
    w.end();
    w.end();
    return out;
}

std::string experiment_text(flowd_tag tag, const Registry& registry) {
    const std::string_view name = registry.experiment_name(tag.experiment);
    return name.empty() ? std::to_string(tag.experiment) : std::string(name);
}

std::string activity_text(flowd_tag tag, const Registry& registry) {
    const std::string_view name = registry.activity_name(tag.experiment, tag.activity);
    return name.empty() ? std::to_string(tag.activity) : std::string(name);
}

void write_flow(json::Writer& w, const flowd_flow& flow, const Registry& registry, std::int64_t now_ns) {
    const std::int64_t until = flow.end_time_ns != 0 ? flow.end_time_ns : now_ns;
    const double age = static_cast<double>(std::max<std::int64_t>(until - flow.start_time_ns, 0)) / 1e9;
    const std::uint64_t bytes = flow.usage.bytes_sent + flow.usage.bytes_received;
    w.object();
    w.member("source", source_of(flow.key).to_string()).member("destination", destination_of(flow.key).to_string());
    w.member("protocol", protocol_name(flow.key.protocol));
    w.member("experiment", experiment_text(flow.tag, registry)).member("activity", activity_text(flow.tag, registry));
    w.member("experimentId", flow.tag.experiment).member("activityId", flow.tag.activity);
    w.member("registered", !is_unregistered(flow.tag, registry));
    w.member("start", utc_text(flow.start_time_ns)).member("announcers", flow.announcers);
    w.member("bytesSent", flow.usage.bytes_sent).member("bytesReceived", flow.usage.bytes_received);
    w.member("application", std::string_view(flow.application.data, flow.application.length));
    w.member("announcer", to_view(flow.announcer)).member("rule", to_view(flow.rule));
    w.member("id", flow.flow_id).member("marked", (flow.flags & FLOWD_MARKED) != 0);
    if (flow.start_time_ns != 0)
        w.member("ageSeconds", age).member("bytesPerSecond", static_cast<double>(bytes) / std::max(age, 1.0));
    if (flow.end_time_ns != 0)
        w.member("end", utc_text(flow.end_time_ns)).member("endReason", end_reason_name(flow.end_reason));
    if (flow.key.scope != 0) w.member("scope", flow.key.scope);
    w.end();
}

std::string metrics_json(const std::vector<MetricSample>& samples) {
    std::string out;
    json::Writer w(out);
    w.array();
    for (const MetricSample& sample : samples) {
        w.object();
        w.member("name", sample.name);
        w.member("type", sample.type == MetricType::counter ? "counter"
                         : sample.type == MetricType::gauge ? "gauge"
                                                            : "histogram");
        w.key("labels").object();
        for (const auto& [label, value] : sample.labels) w.member(label, value);
        w.end();
        write_number(w, "value", sample.value);
        if (sample.type == MetricType::histogram) {
            w.key("bounds").array();
            for (const double bound : sample.bounds) w.value(bound);
            w.end();
            w.key("buckets").array();
            for (const std::uint64_t bucket : sample.buckets) w.value(bucket);
            w.end();
        }
        w.member("help", sample.help).member("unit", sample.unit);
        w.end();
    }
    w.end();
    return out;
}

std::string findings_json(const FindingsBoard::All& all) {
    std::string out;
    json::Writer w(out);
    w.array();
    for (const auto& [instance, findings] : all)
        for (const Finding& finding : findings) write_finding(w, instance, finding);
    w.end();
    return out;
}

std::string refusals_json(const std::vector<Refusals::Refusal>& refusals) {
    std::string out;
    json::Writer w(out);
    w.array();
    for (const Refusals::Refusal& one : refusals) {
        w.object().member("time", utc_text(one.time_ns)).member("instance", one.instance).member("reason", one.reason);
        w.member("sender", escaped(one.sender)).member("firstBytes", escaped(one.first)).end();
    }
    w.end();
    return out;
}

bool is_json(const std::string& text) {
    simdjson::dom::parser parser;
    return parser.parse(text).error() == simdjson::SUCCESS;
}

}  // namespace flowd::core
