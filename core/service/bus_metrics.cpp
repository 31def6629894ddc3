// SPDX-License-Identifier: Apache-2.0
#include "core/service/bus_metrics.hpp"

#include <string>
#include <utility>

namespace flowd::core {
namespace {

constexpr std::pair<std::uint32_t, const char*> kinds_of_events[] = {{FLOWD_EVENT_START, "start"},
                                                                     {FLOWD_EVENT_ONGOING, "ongoing"},
                                                                     {FLOWD_EVENT_END, "end"},
                                                                     {FLOWD_EVENT_CATCH_ALL, "catchAll"},
                                                                     {FLOWD_EVENT_CATCH_ALL_CLEAR, "catchAllClear"}};

/// Appends the series of one name after the other.
class Family {
  public:
    Family(std::vector<MetricSample>& out, MetricType type, std::string name, std::string help, std::string unit = {})
        : out_(out), type_(type), name_(std::move(name)), help_(std::move(help)), unit_(std::move(unit)) {}

    MetricSample& add(MetricLabels labels, std::uint64_t value) {
        return out_.emplace_back(
            MetricSample{type_, name_, help_, unit_, std::move(labels), static_cast<double>(value), {}, {}});
    }
    template <typename Enum>
    void add_by(const MetricLabels& labels, const char* label, const CountsBy<Enum>& counts) {
        for (std::size_t i = 0; i < counts.size(); ++i) {
            MetricLabels all = labels;
            all.emplace_back(label, name_of(static_cast<Enum>(i)));
            add(std::move(all), counts[i]);
        }
    }
    void add_by_kind(const MetricLabels& labels, const std::array<std::uint64_t, event_kinds>& counts) {
        for (const auto& [kind, name] : kinds_of_events) {
            MetricLabels all = labels;
            all.emplace_back("kind", name);
            add(std::move(all), counts[kind]);
        }
    }

  private:
    std::vector<MetricSample>& out_;
    MetricType type_;
    std::string name_;
    std::string help_;
    std::string unit_;
};

void add_table(std::vector<MetricSample>& out, const BusCounters& bus) {
    const auto gauge = [&](const char* name, const char* help, std::uint64_t value, const char* unit = "") {
        Family(out, MetricType::gauge, name, help, unit).add({}, value);
    };
    const auto counter = [&](const char* name, const char* help, std::uint64_t value) {
        Family(out, MetricType::counter, name, help).add({}, value);
    };
    gauge("bus_flows_live", "Live flows.", bus.live);
    gauge("bus_flows_ended_kept",
          "Ended flows in the table: tombstones of keys without a newer flow, and ends pending for a backend.",
          bus.ended_kept);
    gauge("bus_flows_owed", "Ended flows whose end is pending for a backend.", bus.owed);
    gauge("bus_table_bytes", "Memory of the flow table.", bus.table_bytes, "bytes");
    counter("bus_tombstones_cut_short_total", "Tombstones removed early because the table, or its part for them, was full.",
            bus.tombstones_cut_short);
    counter("bus_samples_total", "Samples from enrichers.", bus.samples);
    counter("bus_samples_unknown_total", "Samples of flows that had ended.", bus.samples_unknown);
    counter("bus_samples_invalid_total", "Samples that were malformed.", bus.samples_invalid);
    counter("bus_samples_shed_total", "Samples dropped because of the limit of a period or flow.", bus.samples_shed);
    counter("bus_attachments_not_kept_total", "Attachments dropped because of the limit of a flow or of the table.",
            bus.attachments_not_kept);
    counter("bus_socket_dumps_total", "Dumps of the kernel's sockets to find flows that have ended.", bus.socket_dumps);
    counter("bus_socket_dumps_failed_total", "Dumps of the kernel's sockets that failed.", bus.socket_dumps_failed);
    Family(out, MetricType::counter, "bus_flows_expired_total", "Flows that expired, by reason.")
        .add_by<Expiry>({}, "reason", bus.expired);
}

MetricLabels of_plugin(const AnnouncerCounters& edge) {
    return {{"flowd_instance", "plugin " + edge.name}};
}
MetricLabels of_backend(const BackendCounters& edge) {
    return {{"flowd_instance", "backend " + edge.name}};
}

void add_announcers(std::vector<MetricSample>& out, const BusCounters& bus) {
    Family offered(out, MetricType::counter, "bus_offered_total", "Events emitted by plugins.");
    for (const auto& edge : bus.announcers) offered.add_by_kind(of_plugin(edge), edge.offered);
    Family accepted(out, MetricType::counter, "bus_accepted_total", "Events accepted.");
    for (const auto& edge : bus.announcers) accepted.add(of_plugin(edge), edge.accepted);
    Family refused(out, MetricType::counter, "bus_refused_total", "Events that were not accepted, by reason.");
    for (const auto& edge : bus.announcers) refused.add_by<Refusal>(of_plugin(edge), "reason", edge.refused);
    Family effects(out, MetricType::counter, "bus_effects_total", "Accepted events by their effect on the flow table.");
    for (const auto& edge : bus.announcers) effects.add_by<Effect>(of_plugin(edge), "effect", edge.effects);
    Family live(out, MetricType::gauge, "bus_plugin_flows_live", "Live flows that count towards the limit of a plugin.");
    for (const auto& edge : bus.announcers) live.add(of_plugin(edge), edge.live);
}

void add_latency(std::vector<MetricSample>& out, const BusCounters& bus) {
    Family latency(out, MetricType::histogram, "bus_queue_latency_seconds", "Time from queue to backend.", "seconds");
    for (const auto& edge : bus.backends) {
        MetricSample& sample = latency.add(of_backend(edge), 0);
        sample.value = static_cast<double>(edge.latency_sum_us) / 1e6;
        for (std::size_t i = 0; i + 1 < edge.latency.size(); ++i)
            sample.bounds.push_back(static_cast<double>(std::uint64_t{1} << i) / 1e6);
        sample.buckets.assign(edge.latency.begin(), edge.latency.end());
    }
}

void add_backends(std::vector<MetricSample>& out, const BusCounters& bus) {
    const auto each = [&](MetricType type, const char* name, const char* help, auto value, const char* unit = "") {
        Family family(out, type, name, help, unit);
        for (const auto& edge : bus.backends) family.add(of_backend(edge), value(edge));
    };
    using Edge = BackendCounters;
    constexpr auto counter = MetricType::counter, gauge = MetricType::gauge;
    Family delivered(out, counter, "bus_delivered_total", "Events taken by backends.");
    for (const auto& edge : bus.backends) delivered.add_by_kind(of_backend(edge), edge.delivered);
    each(counter, "bus_backend_refused_total", "Events refused by a backend.",
         [](const Edge& edge) { return edge.refused; });
    each(counter, "bus_backend_failed_total", "Events lost because on_events of a backend failed.",
         [](const Edge& edge) { return edge.failed; });
    each(counter, "bus_backend_full_total", "How often a backend returned FLOWD_FULL.",
         [](const Edge& edge) { return edge.held; });
    each(counter, "bus_shed_total", "Ongoing events dropped because a queue was nearly full.",
         [](const Edge& edge) { return edge.shed_ongoing; });
    each(counter, "bus_queue_full_total", "How often emit returned FLOWD_FULL because of this queue.",
         [](const Edge& edge) { return edge.refused_full; });
    each(counter, "bus_missed_total", "Starts, re-tags and ends deferred because the queue was full.",
         [](const Edge& edge) { return edge.missed; });
    each(counter, "bus_resynced_total", "Deferred events sent later from the flow table.",
         [](const Edge& edge) { return edge.resynced; });
    each(counter, "bus_given_up_total", "Ends that were lost for a backend.",
         [](const Edge& edge) { return edge.given_up; });
    each(counter, "bus_stalls_total", "How often a backend fell behind: its queue was full and it took no events.",
         [](const Edge& edge) { return edge.stalls; });
    each(gauge, "bus_queue_depth", "Events in the queue.", [](const Edge& edge) { return edge.depth; });
    each(gauge, "bus_queue_high_water", "Maximum number of events in the queue so far.",
         [](const Edge& edge) { return edge.high_water; });
    each(gauge, "bus_queue_capacity", "Capacity of the queue in events.", [](const Edge& edge) { return edge.capacity; });
    each(
        gauge, "bus_queue_bytes", "Bytes of attachments and samples in the queue.",
        [](const Edge& edge) { return edge.bytes; }, "bytes");
    each(gauge, "bus_queue_behind",
         "1 while the backend is behind: plugins are not held back, and missed events are sent later.",
         [](const Edge& edge) { return std::uint64_t{edge.behind}; });
    add_latency(out, bus);
}

}  // namespace

std::vector<MetricSample> bus_metrics(const BusCounters& bus) {
    std::vector<MetricSample> out;
    add_table(out, bus);
    add_announcers(out, bus);
    add_backends(out, bus);
    return out;
}

}  // namespace flowd::core
