// SPDX-License-Identifier: Apache-2.0
#include "core/config/registry.hpp"

#include <simdjson.h>

#include <algorithm>
#include <limits>

#include "core/base/files.hpp"
#include "flowd/nearest.hpp"

namespace flowd::core {

namespace {

Error wrong(const std::string& what) {
    return Error{FLOWD_INVALID, what, "compare the file with https://scitags.org/api.json"};
}

Result<std::uint32_t> id_of(const simdjson::dom::object& object, const char* key) {
    std::uint64_t id = 0;
    if (object[key].get(id) != simdjson::SUCCESS || id > std::numeric_limits<std::uint32_t>::max())
        return wrong(std::string("an entry without a number \"") + key + "\"");
    return static_cast<std::uint32_t>(id);
}

Result<std::string> name_of(const simdjson::dom::object& object, const char* key) {
    std::string_view name;
    if (object[key].get(name) != simdjson::SUCCESS || name.empty())
        return wrong(std::string("an entry without a text \"") + key + "\"");
    return std::string(name);
}

bool same_name(std::string_view a, std::string_view b) {
    return a.size() == b.size() && lower_case(a) == lower_case(b);
}

}  // namespace

Result<Registry> Registry::load(const std::filesystem::path& file) {
    auto text = read_file(file);
    if (!text) return std::move(text).error().within("the registry");
    auto registry = parse(*text);
    if (!registry) return std::move(registry).error().within("the registry " + file.string());
    return registry;
}

Result<Registry> Registry::parse(std::string_view json) {
    simdjson::dom::parser parser;
    simdjson::dom::element document;
    const simdjson::padded_string padded(json);
    if (const auto error = parser.parse(padded).get(document); error != simdjson::SUCCESS)
        return wrong(std::string("not JSON: ") + simdjson::error_message(error));
    simdjson::dom::array experiments;
    if (document["experiments"].get(experiments) != simdjson::SUCCESS) return wrong("no list \"experiments\"");
    Registry registry;
    if (std::string_view modified; document["modified"].get(modified) == simdjson::SUCCESS) registry.modified_ = modified;
    for (const auto element : experiments) {
        simdjson::dom::object experiment;
        if (element.get(experiment) != simdjson::SUCCESS) return wrong("an experiment that is not an object");
        const auto id = id_of(experiment, "expId");
        if (!id) return id.error();
        auto name = name_of(experiment, "expName");
        if (!name) return std::move(name).error();
        if (registry.experiments_.contains(*id)) return wrong("experiment " + std::to_string(*id) + " is there twice");
        Experiment& entry = registry.experiments_[*id];
        entry.name = std::move(name).value();
        simdjson::dom::array activities;
        if (experiment["activities"].get(activities) != simdjson::SUCCESS) continue;
        for (const auto item : activities) {
            simdjson::dom::object activity;
            if (item.get(activity) != simdjson::SUCCESS) return wrong("an activity that is not an object");
            const auto activity_id = id_of(activity, "activityId");
            if (!activity_id) return activity_id.error();
            auto activity_name = name_of(activity, "activityName");
            if (!activity_name) return std::move(activity_name).error();
            if (!entry.activities.emplace(*activity_id, std::move(activity_name).value()).second)
                return wrong("activity " + std::to_string(*activity_id) + " of " + entry.name + " is there twice");
        }
    }
    return registry;
}

std::optional<std::uint32_t> Registry::experiment_id(std::string_view name) const {
    for (const auto& [id, experiment] : experiments_)
        if (same_name(experiment.name, name)) return id;
    return std::nullopt;
}

std::optional<std::uint32_t> Registry::activity_id(std::uint32_t experiment, std::string_view name) const {
    const auto found = experiments_.find(experiment);
    if (found == experiments_.end()) return std::nullopt;
    for (const auto& [id, activity] : found->second.activities)
        if (same_name(activity, name)) return id;
    return std::nullopt;
}

std::optional<std::uint32_t> Registry::common_activity_id(std::string_view name) const {
    std::optional<std::uint32_t> common;
    for (const auto& [id, experiment] : experiments_) {
        (void)experiment;
        const auto here = activity_id(id, name);
        if (!here) continue;
        if (common && *common != *here) return std::nullopt;
        common = here;
    }
    return common;
}

std::string_view Registry::experiment_name(std::uint32_t id) const {
    const auto found = experiments_.find(id);
    return found == experiments_.end() ? std::string_view{} : std::string_view(found->second.name);
}

std::string_view Registry::activity_name(std::uint32_t experiment, std::uint32_t id) const {
    const auto found = experiments_.find(experiment);
    if (found == experiments_.end()) return {};
    const auto activity = found->second.activities.find(id);
    return activity == found->second.activities.end() ? std::string_view{} : std::string_view(activity->second);
}

void Registries::use(const Registry& registry) {
    auto found = std::find(used_.begin(), used_.end(), registry);
    if (found == used_.end()) found = used_.insert(used_.end(), registry);
    current_.store(&*found, std::memory_order_release);
}

}  // namespace flowd::core
