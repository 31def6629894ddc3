// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/flow_samples.hpp"

#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>

#include "backends/metrics/tcp_figures.hpp"
#include "flowd/address.hpp"

namespace flowd::metrics {
namespace {

[[nodiscard]] std::uint64_t moved_by(const EventView& event) {
    std::uint64_t most = event->usage.bytes_sent + event->usage.bytes_received;
    for (const flowd_sample& sample : event.samples())
        if (const auto usage = net::tcp_usage(sample.tcp_info))
            most = std::max(most, usage->bytes_sent + usage->bytes_received);
    return most;
}

[[nodiscard]] bool has_tcp(const EventView& event) {
    for (const flowd_sample& sample : event.samples())
        if (sample.tcp_info.length > 0) return true;
    return false;
}

[[nodiscard]] std::tuple<Address, Address, std::uint16_t, std::uint16_t> ends_of(const flowd_key& key) {
    return {source_of(key).address, destination_of(key).address, key.source_port, key.destination_port};
}

[[nodiscard]] std::string ports_of(const flowd_key& key) {
    return "<" + std::to_string(key.source_port) + ":" + std::to_string(key.destination_port) + ">";
}

}  // namespace

void FlowSamples::take(const EventView& event) {
    if (event.is_end()) {
        flows_.erase(event->flow_id);
        if (flows_.size() < max_flows_) least_ = 0;
        return;
    }
    const auto found = flows_.find(event->flow_id);
    if (found != flows_.end()) found->second.tag = event->tag;
    if (!event.has(FLOWD_SAMPLED) || !has_tcp(event) || max_flows_ == 0) return;
    if (found != flows_.end()) return keep(found->second, event);
    if (event->key.scope != 0 || moved_by(event) < least_) return void(++left_out_);
    keep(flows_[event->flow_id], event);
    if (flows_.size() > 2 * max_flows_) prune();
}

void FlowSamples::keep(Flow& flow, const EventView& event) {
    flow.key = event->key;
    flow.tag = event->tag;
    flow.moved = moved_by(event);
    flow.samples.clear();
    for (const flowd_sample& sample : event.samples()) {
        if (sample.tcp_info.length == 0) continue;
        flow.samples.push_back({std::string(to_view(sample.source)), std::string(to_view(sample.congestion)),
                                std::string(to_view(sample.tcp_info))});
    }
}

void FlowSamples::prune() {
    std::vector<std::uint64_t> moved;
    moved.reserve(flows_.size());
    for (const auto& [id, flow] : flows_) moved.push_back(flow.moved);
    const auto last = moved.begin() + static_cast<std::ptrdiff_t>(max_flows_ - 1);
    std::nth_element(moved.begin(), last, moved.end(), std::greater<>());
    least_ = *last;
    // Keeps as many flows of the smallest size as fit.
    auto room = max_flows_ - static_cast<std::size_t>(
                                 std::count_if(moved.begin(), moved.end(), [&](auto bytes) { return bytes > least_; }));
    left_out_ += std::erase_if(flows_, [&](const auto& entry) {
        if (entry.second.moved != least_) return entry.second.moved < least_;
        if (room == 0) return true;
        --room;
        return false;
    });
}

FlowFigures FlowSamples::figures(const std::string& flavour, const TagLabels& labels) const {
    std::vector<const Flow*> largest;
    largest.reserve(flows_.size());
    for (const auto& [id, flow] : flows_) largest.push_back(&flow);
    const auto end = largest.begin() + static_cast<std::ptrdiff_t>(shown());
    std::nth_element(largest.begin(), end, largest.end(), [](const Flow* a, const Flow* b) { return a->moved > b->moved; });
    largest.erase(end, largest.end());
    // Series that have much in common follow each other: gzip then takes less time, and the page is a third smaller.
    std::sort(largest.begin(), largest.end(),
              [](const Flow* a, const Flow* b) { return ends_of(a->key) < ends_of(b->key); });
    std::vector<FlowFigures::Row> rows;
    for (const Flow* flow : largest) {
        const auto [experiment, activity] = labels.of(flow->tag);
        for (const Sample& sample : flow->samples) {
            if (!flavour.empty() && sample.flavour != flavour) continue;
            FlowFigures::Row& row = rows.emplace_back();
            row.labels.add("act", activity)
                .add("exp", experiment)
                .add("src", source_of(flow->key).address.to_string())
                .add("dst", destination_of(flow->key).address.to_string())
                .add("flow", ports_of(flow->key))
                .add("flavour", sample.flavour);
            row.algorithm = sample.algorithm;
            row.tcp_info = sample.tcp_info;
        }
    }
    return FlowFigures(std::move(rows));
}

bool FlowFigures::print(Page& page, std::size_t enough) {
    const auto figures = tcp_figures();
    for (; figure_ <= figures.size(); ++figure_, row_ = 0) {
        if (page.text().size() >= enough) return true;  // a family is begun once
        if (row_ == 0 && figure_ < figures.size()) {
            const TcpFigure& figure = figures[figure_];
            const bool counts = std::string_view(figure.name).ends_with("_total");
            page.begin(figure.name, figure.help, counts ? Type::counter : Type::gauge);
        } else if (row_ == 0) {
            page.begin(tcp_algorithm_name, tcp_algorithm_help, Type::gauge);
        }
        for (; row_ < rows_.size(); ++row_) {
            if (row_ > 0 && page.text().size() >= enough) return true;
            print_row(page, rows_[row_]);
        }
    }
    return false;
}

void FlowFigures::print_row(Page& page, const Row& row) const {
    const auto figures = tcp_figures();
    if (figure_ < figures.size()) {
        if (const auto value = net::tcp_value(to_bytes(row.tcp_info), figures[figure_].member))
            page.add(row.labels, static_cast<double>(*value));
    } else if (!row.algorithm.empty()) {
        page.add(PrintedLabels(row.labels).add("alg", row.algorithm), 1);
    }
}

}  // namespace flowd::metrics
