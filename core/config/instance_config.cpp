// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "core/config/configuration.hpp"

namespace flowd::core {

namespace {

void collect_secrets(const Option& option, const flowd_value& value, bool secret, std::vector<std::string>& into) {
    secret = secret || option.secret();
    if (option.fields.empty()) {
        if (secret && value.text.length > 0) into.emplace_back(to_view(value.text));
        return;
    }
    for (std::size_t i = 0; i < value.item_count; ++i)
        collect_secrets(option.type == FLOWD_OPTION_GROUP ? option.fields[i] : option.fields[0], *item_at(value, i), secret,
                        into);
}

void take_out(std::string& text, const std::vector<std::string>& secrets) {
    static constexpr std::string_view mask = "(secret)";
    for (const std::string& secret : secrets)
        for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at + mask.size()))
            text.replace(at, secret.size(), mask);
}

}  // namespace

const Location& InstanceConfig::location_of(std::string_view option_path) const {
    return values.location_of(option_path);
}

bool InstanceConfig::same_as(const InstanceConfig& other) const {
    return kind == other.kind && key == other.key && module_path == other.module_path && component == other.component &&
           same_value(value(), other.value());
}

Problem InstanceConfig::locate(const flowd_problem& reported) const {
    // The struct is owned by the module and may be shorter: copy the members that it has.
    flowd_problem copy{};
    std::memcpy(&copy, &reported, std::min<std::size_t>(reported.size, sizeof copy));
    std::vector<std::string> secrets;
    for (std::size_t i = 0; i < options.size() && i < value().item_count; ++i)
        collect_secrets(options[i], *item_at(value(), i), false, secrets);

    Problem problem;
    problem.level = copy.level == FLOWD_LEVEL_WARNING ? FLOWD_LEVEL_WARNING : FLOWD_LEVEL_ERROR;
    problem.result = copy.result < 0 ? copy.result : FLOWD_INVALID;
    if (problem.result != FLOWD_INVALID) problem.category = Problem::Category::system;
    const std::string_view option = to_view(copy.option);
    problem.where = location_of(option);
    problem.path = written_path;
    if (!option.empty()) problem.path.append(option.front() == '[' ? "" : ".").append(option);
    problem.found = to_view(copy.found);
    problem.message = to_view(copy.message);
    problem.hint = to_view(copy.hint);
    for (std::string* text : {&problem.found, &problem.message, &problem.hint}) take_out(*text, secrets);
    return problem;
}

const InstanceConfig* Configuration::find(std::uint32_t kind, std::string_view key) const {
    for (const InstanceConfig& instance : instances)
        if (instance.kind == kind && instance.key == key) return &instance;
    return nullptr;
}

}  // namespace flowd::core
