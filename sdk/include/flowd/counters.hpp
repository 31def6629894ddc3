// SPDX-License-Identifier: Apache-2.0
// flowd/counters.hpp: the counters of an instance, declared once: as time series and as members of its status.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "flowd/host.hpp"
#include "flowd/json.hpp"

namespace flowd {

/// The table of an instance's counters. [instance]; must not outlive its Host, nor the variables that rows read: declare it
/// after them.
///
///     Counters counters_{host(), {
///         {"lines", "hello_lines_total", "Lines read.", &lines_},
///         {"refusals", "hello_refused_total", "Lines refused, by reason.", Counters::by("reason", reasons, refused_)},
///         {"queued", [this] { return queue_.size(); }},                       // in the status only
///         {"", "hello_peers", "Peers connected now.", [this] { return peers_.size(); }},   // a time series only
///     }};
///     counters_.publish();         // once a second, say
///     counters_.status(object);    // in status()
class Counters {
  public:
    using Visit = std::function<void(std::string_view name, std::uint64_t value)>;

    /// The value of a row: a variable, a function, or several values with a label.
    class Source {
      public:
        Source(const std::uint64_t* field)  // NOLINT(google-explicit-constructor): rows read as a table
            : each_([field](const Visit& visit) { visit({}, *field); }) {}
        template <typename Function>
        requires std::integral<std::invoke_result_t<const Function&>> Source(
            Function function)  // NOLINT(google-explicit-constructor)
            : each_([function](const Visit& visit) { visit({}, static_cast<std::uint64_t>(function())); }),
              is_flag_(std::same_as<std::invoke_result_t<const Function&>, bool>) {}
        /// `each` calls visit(value of the label, value) for every series. More series may appear later.
        Source(std::string label, std::function<void(const Visit& visit)> each)
            : each_(std::move(each)), label_(std::move(label)) {}

        /// The status omits values that are 0.
        Source without_zeros() && {
            without_zeros_ = true;
            return std::move(*this);
        }
        /// The status shows the values as members of the object itself.
        Source flat() && {
            is_flat_ = true;
            return std::move(*this);
        }

      private:
        friend class Counters;
        std::function<void(const Visit&)> each_;
        std::string label_;
        bool is_flag_ = false, without_zeros_ = false, is_flat_ = false;
    };
    /// An array of values and an array of their names, from index `first` on.
    template <typename Names, typename Values>
    static Source by(std::string label, const Names& names, const Values& values, std::size_t first = 0) {
        return {std::move(label), [names = std::data(names), count = std::size(names), values = std::data(values),
                                   first](const Visit& visit) {
                    for (std::size_t i = first; i < count; ++i) visit(names[i], values[i]);
                }};
    }
    template <typename Values>
    static Source sum(const Values& values) {
        return [values = std::data(values), count = std::size(values)] {
            std::uint64_t all = 0;
            for (std::size_t i = 0; i < count; ++i) all += values[i];
            return all;
        };
    }

    struct Row {
        /// In the status only.
        Row(std::string member_name, Source value) : member(std::move(member_name)), source(std::move(value)) {}
        /// `metric` as in Host::counter: a counter if it ends in _total, otherwise a gauge. Without a `member`: not in
        /// the status.
        Row(std::string member_name, std::string metric_name, std::string metric_help, Source value,
            Labels metric_labels = {}, std::string metric_unit = {})
            : member(std::move(member_name)),
              metric(std::move(metric_name)),
              help(std::move(metric_help)),
              unit(std::move(metric_unit)),
              labels(std::move(metric_labels)),
              source(std::move(value)) {}

        std::string member, metric, help, unit;
        Labels labels;
        Source source;
    };

    /// Opens the time series. All of them get `labels`.
    Counters(const Host& host, std::vector<Row> rows, const Labels& labels = {}) : host_(host) {
        for (Row& row : rows) {
            row.labels.insert(row.labels.begin(), labels.begin(), labels.end());
            rows_.push_back({std::move(row), {}});
        }
        each([](Series&, std::uint64_t) {});
    }
    Counters(const Counters&) = delete;
    Counters& operator=(const Counters&) = delete;

    /// Sets the time series to the current values of the sources.
    void publish() {
        each([](Series& series, std::uint64_t value) { series.set(value); });
    }

    /// Writes the members, in the order of the rows.
    void status(json::Writer& object) const {
        for (const Published& row : rows_) write(object, row);
    }

  private:
    struct Series : Metric {
        explicit Series(Metric metric) : Metric(std::move(metric)) {}
        void set(std::uint64_t value) {
            if (metric_ != 0) host_->metric_set(host_, metric_, static_cast<double>(value));
        }
    };
    struct Published : Row {
        std::map<std::string, Series, std::less<>> series;  ///< by the value of the label
    };

    template <typename Visitor>
    void each(Visitor visitor) {
        for (Published& row : rows_)
            if (!row.metric.empty())
                row.source.each_([&](std::string_view name, std::uint64_t value) { visitor(series(row, name), value); });
    }
    Series& series(Published& row, std::string_view name) {
        if (const auto known = row.series.find(name); known != row.series.end()) return known->second;
        Labels labels = row.labels;
        if (!row.source.label_.empty()) labels.emplace_back(row.source.label_, name);
        Metric metric;
        if (row.metric.ends_with("_total"))
            metric = host_.counter(row.metric, row.help, labels, row.unit);
        else
            metric = host_.gauge(row.metric, row.help, labels, row.unit);
        return row.series.emplace(name, std::move(metric)).first->second;
    }

    static void write(json::Writer& object, const Published& row) {
        const Source& source = row.source;
        const bool is_object = !source.label_.empty() && !source.is_flat_;
        if (row.member.empty() && !source.is_flat_) return;
        if (is_object) object.key(row.member).object();
        source.each_([&](std::string_view name, std::uint64_t value) {
            if (value == 0 && source.without_zeros_) return;
            object.key(source.label_.empty() ? std::string_view(row.member) : name);
            if (source.is_flag_)
                object.value(value != 0);
            else
                object.value(value);
        });
        if (is_object) object.end();
    }

    const Host& host_;
    std::vector<Published> rows_;
};

}  // namespace flowd
