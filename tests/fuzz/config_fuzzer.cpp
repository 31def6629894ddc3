// SPDX-License-Identifier: Apache-2.0
// Whatever a configuration file holds: it is loaded or its problems are said; and what was loaded prints as a
// configuration that loads again.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "core/config/configuration.hpp"
#include "core/config/render.hpp"

namespace {

using namespace flowd;
using namespace flowd::core;

constexpr const char* aliases[] = {"bindPort", nullptr};
constexpr const char* choices[] = {"lean", "full", nullptr};

constexpr flowd_option row(std::uint32_t type, const char* name, const char* default_text = nullptr,
                           const flowd_option* fields = nullptr, std::size_t count = 0) {
    flowd_option option{};
    option.size = sizeof option;
    option.type = type;
    option.name = name;
    option.doc = "Is fuzzed.";
    option.default_text = default_text;
    option.fields = fields;
    option.field_count = count;
    option.field_stride = sizeof option;
    if (type == FLOWD_OPTION_CHOICE) option.choices = choices;
    if (type == FLOWD_OPTION_DURATION) option.unit = "ms";
    return option;
}

constexpr flowd_option port() {
    flowd_option option = row(FLOWD_OPTION_INTEGER, "port", "7");
    option.minimum = 1;
    option.maximum = 65535;
    option.aliases = aliases;
    return option;
}

/// Every type once.
const flowd_option text_item[] = {row(FLOWD_OPTION_STRING, nullptr)};
const flowd_option activity_item[] = {row(FLOWD_OPTION_ACTIVITY, nullptr)};
const flowd_option experiment_item[] = {row(FLOWD_OPTION_EXPERIMENT, nullptr)};
const flowd_option address_item[] = {row(FLOWD_OPTION_ADDRESS, nullptr)};
const flowd_option group_fields[] = {row(FLOWD_OPTION_HOST, "address"), port()};
const flowd_option group_item[] = {row(FLOWD_OPTION_GROUP, nullptr, nullptr, group_fields, 2)};
const flowd_option list_item[] = {row(FLOWD_OPTION_LIST, nullptr, nullptr, text_item, 1)};
const flowd_option table[] = {
    port(),
    row(FLOWD_OPTION_BOOLEAN, "flag", "true"),
    row(FLOWD_OPTION_NUMBER, "number", "0.5"),
    row(FLOWD_OPTION_STRING, "text"),
    row(FLOWD_OPTION_CHOICE, "mode", "lean"),
    row(FLOWD_OPTION_DURATION, "wait", "3s"),
    row(FLOWD_OPTION_SIZE, "size", "4 MiB"),
    row(FLOWD_OPTION_NETWORK, "network"),
    row(FLOWD_OPTION_PATH, "path", ""),
    row(FLOWD_OPTION_EXPERIMENT, "experiment"),
    row(FLOWD_OPTION_ACTIVITY, "activity"),
    row(FLOWD_OPTION_LIST, "experiments", nullptr, experiment_item, 1),
    row(FLOWD_OPTION_LIST, "activities", nullptr, activity_item, 1),
    row(FLOWD_OPTION_LIST, "collectors", nullptr, group_item, 1),
    row(FLOWD_OPTION_LIST, "lists", nullptr, list_item, 1),
    row(FLOWD_OPTION_MAP, "mapping", nullptr, address_item, 1),
    row(FLOWD_OPTION_MAP, "groups", nullptr, group_item, 1),
};

class Modules : public ComponentLookup {
  public:
    Modules() {
        component_.size = sizeof component_;
        component_.name = "x";
        component_.summary = "Is fuzzed.";
        component_.options = table;
        component_.option_count = std::size(table);
        component_.option_stride = sizeof(flowd_option);
    }
    Result<FoundComponent> find(std::uint32_t, std::string_view name, std::string_view) override {
        if (name != "x") return Error{FLOWD_NOT_FOUND, "no module has it"};
        return FoundComponent{&component_, "/x.so"};
    }
    [[nodiscard]] std::vector<std::string> names(std::uint32_t) const override { return {"x"}; }

  private:
    flowd_component component_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Catalog catalog = Catalog::parse("plugins: {y: {package: y, aliases: [z]}}", "catalog").value();
    static const Registry registry = Registry::parse(R"({"experiments": [{"expName": "atlas", "expId": 2, "activities": [
            {"activityName": "perfSONAR", "activityId": 2}]}]})")
                                         .value();
    static Modules modules;
    const LoadContext context{catalog, registry, [](const Globals&) -> ComponentLookup& { return modules; }};
    const auto loaded =
        parse_configuration(std::string_view(reinterpret_cast<const char*>(data), size), "conf.yaml", context);
    (void)loaded.problems.to_string();
    if (loaded.configuration.has_value() == loaded.problems.has_errors()) std::abort();
    if (!loaded.configuration) return 0;
    const auto again = parse_configuration(effective_yaml(*loaded.configuration, registry), "effective", context);
    if (!again.configuration || again.configuration->instances.size() != loaded.configuration->instances.size())
        std::abort();
    for (const InstanceConfig& instance : loaded.configuration->instances) {
        const InstanceConfig* twin = again.configuration->find(instance.kind, instance.key);
        if (twin == nullptr || !same_value(twin->value(), instance.value())) std::abort();
    }
    return 0;
}
