// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/flow_counts.hpp"

#include <limits>
#include <utility>

namespace flowd::metrics {
namespace {

constexpr auto nobody = std::numeric_limits<std::uint32_t>::max();
constexpr std::pair<std::uint32_t, std::uint32_t> other{nobody, nobody};

void count(Counter& counter, std::uint64_t& counted, std::uint64_t present) {
    if (present <= counted) return;
    counter.add(static_cast<double>(present - counted));
    counted = present;
}

}  // namespace

FlowCounts::FlowCounts(Host& host, const TagLabels& labels) : host_(host), labels_(labels), since_ns_(unix_time_ns()) {}

FlowCounts::~FlowCounts() {
    for (const auto& [id, flow] : flows_) flow.series->live.add(-1);
}

FlowCounts::Series FlowCounts::make(const std::string& experiment, const std::string& activity) {
    const Labels labels{{"experiment", experiment}, {"activity", activity}};
    const auto directed = [&](const char* direction) {
        Labels all = labels;
        all.emplace_back("direction", direction);
        return host_.counter("flow_bytes_total", "Payload bytes of flows, from their source (sent) and to it.", all);
    };
    return {
        .live = host_.gauge("flows_live", "Flows that are live, by tag.", labels),
        .started = host_.counter("flows_started_total", "Flows that started, by tag.", labels),
        .ended = host_.counter("flows_ended_total", "Flows that ended for any reason, by tag.", labels),
        .expired = host_.counter("flows_expired_total", "Flows that expired, by tag; included in the ended ones.", labels),
        .sent = directed("sent"),
        .received = directed("received")};
}

FlowCounts::Series& FlowCounts::series_of(flowd_tag tag) {
    const Id id{tag.experiment, tag.activity};
    if (const auto found = series_.find(id); found != series_.end()) return found->second;
    const bool registered = labels_.is_registered(tag);
    if (!registered && unregistered_ >= max_unregistered) {
        const auto shared = series_.find(other);
        return shared != series_.end() ? shared->second : series_.emplace(other, make("other", "other")).first->second;
    }
    if (!registered) ++unregistered_;
    const auto [experiment, activity] = labels_.of(tag);
    return series_.emplace(id, make(experiment, activity)).first->second;
}

bool FlowCounts::is_older_than_this(const EventView& event) const {
    return event.has(FLOWD_RESYNC) && event->start_time_ns < since_ns_;
}

void FlowCounts::count_bytes(Flow& flow, const EventView& event) {
    if (!event.has_usage()) return;
    count(flow.series->sent, flow.sent, event->usage.bytes_sent);
    count(flow.series->received, flow.received, event->usage.bytes_received);
}

void FlowCounts::take(const EventView& event) {
    const auto found = flows_.find(event->flow_id);
    if (event.is_end()) {
        Flow flow = found != flows_.end() ? found->second : Flow{&series_of(event->tag)};
        count_bytes(flow, event);
        flow.series->ended.add();
        if (event->end_reason != FLOWD_END_ANNOUNCED) flow.series->expired.add();
        if (found == flows_.end()) return;
        flow.series->live.add(-1);
        flows_.erase(found);
        return;
    }
    Series& series = series_of(event->tag);
    if (found == flows_.end()) {
        Flow flow{&series};
        series.live.add(1);
        if (is_older_than_this(event)) {  // a predecessor has counted the flow and these bytes
            flow.sent = event->usage.bytes_sent;
            flow.received = event->usage.bytes_received;
        } else {
            series.started.add();
        }
        count_bytes(flow, event);
        flows_.emplace(event->flow_id, flow);
        return;
    }
    Flow& flow = found->second;
    if (flow.series != &series) {
        flow.series->live.add(-1);
        series.live.add(1);
        flow.series = &series;
    }
    count_bytes(flow, event);
}

}  // namespace flowd::metrics
