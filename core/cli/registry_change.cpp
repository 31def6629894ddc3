// SPDX-License-Identifier: Apache-2.0
#include "core/cli/registry_change.hpp"

#include <set>

#include "flowd/label.hpp"
#include "flowd/nearest.hpp"

namespace flowd::core::cli {
namespace {

Error refused(const std::string& what) {
    return Error{FLOWD_INVALID, what, "compare the file with https://scitags.org/api.json"};
}

Result<void> check_id(const std::string& what, std::uint32_t id, std::uint32_t most) {
    if (id >= 1 && id <= most) return {};
    return refused(what + " " + std::to_string(id) + " is out of range: 1 to " + std::to_string(most) +
                   " fit a flow label");
}

/// Names are compared case-insensitively.
class Names {
  public:
    bool add(std::string_view name) { return seen_.insert(lower_case(name)).second; }

  private:
    std::set<std::string> seen_;
};

/// "added", "removed", "renamed", or empty.
std::string_view kind_of(const std::string& before, const std::string& after) {
    if (before == after) return {};
    return before.empty() ? "added" : after.empty() ? "removed" : "renamed";
}

template <typename Map>
std::set<std::uint32_t> ids_of(const Map& one, const Map& other) {
    std::set<std::uint32_t> ids;
    for (const auto& entry : one) ids.insert(entry.first);
    for (const auto& entry : other) ids.insert(entry.first);
    return ids;
}

}  // namespace

std::vector<RegistryChange> changes_between(const Registry& before, const Registry& after) {
    std::vector<RegistryChange> changes;
    const auto note = [&](flowd_tag tag, bool is_activity, std::string_view old_name, std::string_view new_name) {
        std::string one(old_name), other(new_name);
        if (const auto kind = kind_of(one, other); !kind.empty())
            changes.push_back({kind, tag, is_activity, std::move(one), std::move(other)});
    };
    static const Registry::Experiment none;
    const auto find = [](const Registry& registry, std::uint32_t id) -> const Registry::Experiment& {
        const auto found = registry.experiments().find(id);
        return found == registry.experiments().end() ? none : found->second;
    };
    for (const std::uint32_t id : ids_of(before.experiments(), after.experiments())) {
        note({id, 0}, false, before.experiment_name(id), after.experiment_name(id));
        for (const std::uint32_t activity : ids_of(find(before, id).activities, find(after, id).activities))
            note({id, activity}, true, before.activity_name(id, activity), after.activity_name(id, activity));
    }
    return changes;
}

Result<void> check_registry(const Registry& registry) {
    if (registry.experiments().empty()) return refused("no experiments");
    Names experiments;
    for (const auto& [id, experiment] : registry.experiments()) {
        if (auto good = check_id("experiment", id, label::max_experiment); !good) return good;
        if (!experiments.add(experiment.name)) return refused("two experiments have the name \"" + experiment.name + "\"");
        Names activities;
        for (const auto& [activity, name] : experiment.activities) {
            if (auto good = check_id("activity", activity, label::max_activity); !good)
                return std::move(good).error().within("experiment " + experiment.name);
            if (!activities.add(name))
                return refused("two activities of " + experiment.name + " have the name \"" + name + "\"");
        }
    }
    return {};
}

}  // namespace flowd::core::cli
