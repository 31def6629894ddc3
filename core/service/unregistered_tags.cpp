// SPDX-License-Identifier: Apache-2.0
#include "core/service/unregistered_tags.hpp"

#include <spdlog/fmt/fmt.h>

#include "core/config/tag_text.hpp"
#include "flowd/counted.hpp"

namespace flowd::core {
namespace {

constexpr std::size_t most_named = 3;  // in one line of the log

std::string likely_meaning(flowd_tag tag, const Registry& registry) {
    std::string hint = tag_meant_by(tag.activity, registry);
    return hint.empty() ? tag_meant_by(tag.experiment, registry) : hint;
}

}  // namespace

std::optional<std::string> UnregisteredTags::add(const std::vector<MinuteSum>& sums, const Registry& registry,
                                                 std::int64_t now_ns) {
    const std::lock_guard lock(mutex_);
    for (const MinuteSum& sum : sums) {
        Tag tag{sum.tag.experiment, sum.tag.activity};
        if (sum.started == 0 || tag == others || !is_unregistered(sum.tag, registry)) continue;
        if (flows_.size() >= max_tags && !flows_.contains(tag)) tag = others;
        flows_[tag] += sum.started;
        unreported_[tag] += sum.started;
    }
    if (unreported_.empty() || (reported_ns_ && now_ns - *reported_ns_ < warning_period_ns)) return std::nullopt;
    std::string text;
    std::size_t named = 0;
    for (const auto& [tag, flows] : unreported_) {
        if (tag == others || ++named > most_named) continue;
        const flowd_tag value{tag.first, tag.second};
        text += fmt::format("{}{} ({})", named == 1 ? "" : "; ", tag_in_words(value, registry), counted(flows, "flow"));
        if (const std::string hint = likely_meaning(value, registry); !hint.empty()) text += ": " + hint;
    }
    if (unreported_.size() > most_named) text += "; and others: see flowd_bus_flows_unregistered_total";
    unreported_.clear();
    reported_ns_ = now_ns;
    return "flows have a tag that is not in the registry: " + text;
}

std::vector<UnregisteredTags::Count> UnregisteredTags::counts(const Registry& registry) const {
    const std::lock_guard lock(mutex_);
    std::vector<Count> counts;
    for (const auto& [tag, flows] : flows_) {
        const flowd_tag value{tag.first, tag.second};
        if (tag != others)
            counts.push_back({fmt::format("{}/{}", tag.first, tag.second), tag_in_words(value, registry),
                              likely_meaning(value, registry), flows});
    }
    return counts;
}

std::vector<MetricSample> UnregisteredTags::metrics() const {
    const std::lock_guard lock(mutex_);
    std::vector<MetricSample> samples;
    for (const auto& [tag, flows] : flows_) {
        const bool is_one = tag != others;
        samples.push_back({MetricType::counter,
                           "bus_flows_unregistered_total",
                           "Flows that started with a tag that is not in the registry, by tag.",
                           {},
                           {{"activity", is_one ? std::to_string(tag.second) : "other"},
                            {"experiment", is_one ? std::to_string(tag.first) : "other"}},
                           static_cast<double>(flows),
                           {},
                           {}});
    }
    return samples;
}

}  // namespace flowd::core
