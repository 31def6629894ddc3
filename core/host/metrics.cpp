// SPDX-License-Identifier: Apache-2.0
#include "core/host/metrics.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/text.hpp"

namespace flowd::core {

namespace {

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_metric_name(std::string_view text) {
    return !text.empty() && text.size() <= 200 && is_letter(text.front()) &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

Result<void> check(const MetricInfo& info) {
    const auto invalid = [&](std::string_view what) {
        return Error{FLOWD_INVALID, "metric \"" + info.name + "\": " + std::string(what)};
    };
    if (!is_metric_name(info.name)) return invalid("the name is not of the form [a-zA-Z_][a-zA-Z0-9_]*");
    if (info.name.rfind("bus_", 0) == 0) return invalid("names in bus_ are the core's own");
    if (info.type != MetricType::counter && info.type != MetricType::gauge && info.type != MetricType::histogram)
        return invalid("type " + std::to_string(static_cast<std::uint32_t>(info.type)) + " does not exist");
    if (info.type == MetricType::counter && !std::string_view(info.name).ends_with("_total"))
        return invalid("the name of a counter ends in _total");
    if (!is_utf8(info.help)) return invalid("its help is not UTF-8");
    for (const auto& [name, value] : info.labels) {
        if (!is_metric_name(name)) return invalid("label \"" + name + "\" is not of the form [a-zA-Z_][a-zA-Z0-9_]*");
        if (name.rfind("__", 0) == 0 || name == "le" || name == "quantile")
            return invalid("label \"" + name + "\" has a meaning of its own in Prometheus");
        if (!is_utf8(value)) return invalid("the value of label \"" + name + "\" is not UTF-8");
    }
    for (std::size_t i = 1; i < info.labels.size(); ++i)
        if (info.labels[i].first == info.labels[i - 1].first)
            return invalid("label \"" + info.labels[i].first + "\" is given twice");
    if (info.type != MetricType::histogram && !info.bounds.empty()) return invalid("only a histogram has bounds");
    for (std::size_t i = 0; i < info.bounds.size(); ++i)
        if (!std::isfinite(info.bounds[i]) || (i > 0 && info.bounds[i] <= info.bounds[i - 1]))
            return invalid("its bounds do not ascend");
    return {};
}

}  // namespace

Metric::Metric(MetricType type, std::vector<double> bounds)
    : type_(type),
      bounds_(std::move(bounds)),
      buckets_(type == MetricType::histogram ? std::make_unique<std::atomic<std::uint64_t>[]>(bounds_.size() + 1)
                                             : nullptr) {}

void Metric::add(double amount) {
    if (std::isnan(amount) || type_ == MetricType::histogram || (type_ == MetricType::counter && amount < 0)) return;
    value_.fetch_add(amount, std::memory_order_relaxed);
}

void Metric::set(double value) {
    if (std::isnan(value) || type_ != MetricType::gauge) return;
    value_.store(value, std::memory_order_relaxed);
}

void Metric::observe(double value) {
    if (std::isnan(value) || type_ != MetricType::histogram) return;
    const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    buckets_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
    value_.fetch_add(value, std::memory_order_relaxed);
}

std::vector<std::uint64_t> Metric::buckets() const {
    std::vector<std::uint64_t> counts;
    if (buckets_ == nullptr) return counts;
    for (std::size_t i = 0; i <= bounds_.size(); ++i) counts.push_back(buckets_[i].load(std::memory_order_relaxed));
    return counts;
}

Result<std::shared_ptr<Metric>> Metrics::open(MetricInfo info) {
    std::sort(info.labels.begin(), info.labels.end());
    if (auto checked = check(info); !checked) return std::move(checked).error();

    const std::lock_guard lock(mutex_);
    const auto family = families_.find(info.name);
    if (family != families_.end() && (family->second.type != info.type || family->second.bounds != info.bounds))
        return Error{FLOWD_INVALID, "metric \"" + info.name + "\": exists with another type or other bounds"};
    if (family != families_.end()) {
        if (const auto entry = family->second.series.find(info.labels); entry != family->second.series.end()) {
            ++entry->second.holders;
            return entry->second.metric;
        }
    }
    if (places_.size() >= max_series)
        return Error{FLOWD_LIMIT,
                     "metric \"" + info.name + "\": there are " + std::to_string(max_series) + " series already"};
    Family& home =
        family != families_.end()
            ? family->second
            : families_.emplace(info.name, Family{info.type, info.help, info.unit, info.bounds, {}}).first->second;
    auto metric = std::make_shared<Metric>(info.type, std::move(info.bounds));
    home.series.emplace(info.labels, Family::Entry{metric, 1});
    places_.emplace(metric.get(), Place{std::move(info.name), std::move(info.labels)});
    return metric;
}

void Metrics::remove(const std::shared_ptr<Metric>& metric) {
    const std::lock_guard lock(mutex_);
    const auto place = places_.find(metric.get());
    if (place == places_.end()) return;
    const auto family = families_.find(place->second.first);
    const auto entry = family->second.series.find(place->second.second);
    if (--entry->second.holders > 0) return;
    family->second.series.erase(entry);
    if (family->second.series.empty()) families_.erase(family);
    places_.erase(place);
}

std::vector<MetricSample> Metrics::snapshot() const {
    return snapshot({}, {});
}

std::vector<MetricSample> Metrics::snapshot(std::string_view label, std::string_view value) const {
    const auto is_wanted = [&](const MetricLabels& labels) {
        return label.empty() || std::any_of(labels.begin(), labels.end(),
                                            [&](const auto& pair) { return pair.first == label && pair.second == value; });
    };
    std::vector<MetricSample> samples;
    if (label.empty())
        for (const auto& source : sources_)
            for (MetricSample& sample : source()) samples.push_back(std::move(sample));
    const std::lock_guard lock(mutex_);
    for (const auto& [name, family] : families_) {
        for (const auto& [labels, entry] : family.series) {
            if (!is_wanted(labels)) continue;
            samples.push_back(MetricSample{family.type, name, family.help, family.unit, labels, entry.metric->value(),
                                           family.bounds, entry.metric->buckets()});
        }
    }
    return samples;
}

std::size_t Metrics::size() const {
    const std::lock_guard lock(mutex_);
    return places_.size();
}

}  // namespace flowd::core
