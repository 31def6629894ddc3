// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/subject.hpp"

#include <fmt/format.h>

#include "sdk/check/check.hpp"

namespace flowd::check {

namespace {

/// What a person has to know of why a configuration was refused.
std::string first_error(const core::Problems& problems) {
    const core::Problem* problem = problems.decisive();
    if (problem == nullptr) return "it is not a configuration";
    return problem->path.empty() ? problem->message : fmt::format("{}: {}", problem->path, problem->message);
}

/// The required options that are not written, a comma between them.
std::string required_options(const core::OptionTable& table) {
    std::string names;
    for (const core::Option& option : table)
        if (option.required()) names += (names.empty() ? "" : ", ") + option.name;
    return names;
}

}  // namespace

Outcome without_config(const Error& error) {
    Outcome outcome = error.code == FLOWD_NOT_FOUND ? Outcome::skip(error.message) : Outcome::fail(error.message);
    outcome.unusable = true;
    return outcome;
}

Result<core::Module*> Subject::module() {
    progress_.enter("dlopen or flowd_module_v1");
    auto loaded = set_.load_file(target_.module);
    progress_.enter({});
    return loaded;
}

Result<const core::Component*> Subject::component() {
    auto loaded = module();
    if (!loaded) return std::move(loaded).error();
    for (const auto& component : (*loaded)->declared.components)
        if (component->table.kind == target_.kind && component->name() == target_.component) return component.get();
    return Error{FLOWD_NOT_FOUND, fmt::format("it has no {} '{}'", core::kind_name(target_.kind), target_.component), {}};
}

Result<const core::InstanceConfig*> Subject::config() {
    auto found = component();
    if (!found) return std::move(found).error();
    if (!loaded_) {
        core::LoadContext context{catalog_, registry(),
                                  [this](const core::Globals&) -> core::ComponentLookup& { return set_; }};
        progress_.enter("validate");
        if (target_.conf.empty())
            loaded_ = core::parse_configuration(
                fmt::format("{}:\n  {}:\n    module: \"{}\"\n", core::section_name(target_.kind), target_.component,
                            std::filesystem::absolute(target_.module).string()),
                "defaults", context);
        else
            loaded_ = core::load_configuration(target_.conf, context);
        progress_.enter({});
    }
    if (loaded_->problems.has_errors()) {
        const std::string required = required_options((*found)->options);
        if (target_.conf.empty() && !required.empty())
            return Error{FLOWD_NOT_FOUND, fmt::format("it has required options ({}): give some with --conf", required), {}};
        return Error{FLOWD_INVALID, first_error(loaded_->problems), {}};
    }
    for (const core::InstanceConfig& instance : loaded_->configuration->instances)
        if (instance.kind == target_.kind && instance.component_name == target_.component) return &instance;
    return Error{FLOWD_NOT_FOUND,
                 fmt::format("{} configures no {} '{}'", target_.conf, core::kind_name(target_.kind), target_.component),
                 {}};
}

}  // namespace flowd::check
