// SPDX-License-Identifier: Apache-2.0
#include "core/service/installation.hpp"

#include <utility>

namespace flowd::core {
namespace {

/// The value; or an empty one, with a warning that names the consequence.
template <typename T>
T or_warning(Result<T> loaded, const std::filesystem::path& file, Problems& warnings, const char* consequence) {
    if (loaded) return std::move(loaded).value();
    Problem problem;
    problem.level = FLOWD_LEVEL_WARNING;
    problem.result = loaded.error().code;
    problem.where.file = file.string();
    problem.message = loaded.error().message;
    problem.hint = consequence;
    warnings.add(std::move(problem));
    return T{};
}

}  // namespace

Installation::Installation(InstallPaths paths, std::vector<std::string> module_directories, TrustPolicy trust)
    : paths_(std::move(paths)), module_directories_(std::move(module_directories)), trust_(trust), modules_(trust) {
    read_data_files();
}

void Installation::read_data_files() {
    warnings_ = {};
    registry_ = or_warning(Registry::load(paths_.registry()), paths_.registry(), warnings_,
                           "experiments and activities can only be given by number");
    warn_of_old_registry();
    catalog_ = or_warning(Catalog::load(paths_.catalog()), paths_.catalog(), warnings_,
                          "for a module that is not installed, no package can be named");
}

void Installation::warn_of_old_registry() {
    if (paths_.registry() == paths_.packaged_registry() || registry_.modified().empty()) return;
    const auto packaged = Registry::load(paths_.packaged_registry());
    if (!packaged || packaged->modified() <= registry_.modified()) return;
    Problem problem;
    problem.level = FLOWD_LEVEL_WARNING;
    problem.where.file = paths_.site_registry().string();
    problem.message = "the registry of this site, of " + registry_.modified() + ", is older than that of the package, of " +
                      packaged->modified();
    problem.hint = "remove it, to use the registry of the package";
    warnings_.add(std::move(problem));
}

LoadContext Installation::context(const Loading& loading) {
    return {catalog_,
            registry_,
            [this](const Globals& globals) -> ComponentLookup& {
                modules_.scan(module_search_path(paths_, module_directories_, globals.modules));
                return modules_;
            },
            [this](const std::filesystem::path& file) { return trusted_path(file, trust_); },
            loading.may_lack_rights,
            loading.log};
}

LoadedConfiguration Installation::parse(std::string_view text, const std::string& name) {
    return parse_configuration(text, name, context({true, {}}));
}

LoadedConfiguration Installation::load(const std::filesystem::path& conf, const Loading& loading) {
    if (!std::exchange(is_fresh_, false)) read_data_files();
    if (loading.registry != nullptr) registry_ = *loading.registry;
    LoadedConfiguration loaded = load_configuration(conf, context(loading));
    for (const Problem& warning : warnings_) loaded.problems.add(warning);
    for (const auto& file : modules_.changed_files()) {
        Problem problem;
        problem.level = FLOWD_LEVEL_WARNING;
        problem.where.file = file.string();
        problem.message = "the module's file has changed since the daemon loaded it: what was loaded goes on";
        problem.hint = "restart to load it";
        loaded.problems.add(std::move(problem));
    }
    loaded.problems.sort();
    return loaded;
}

ModuleSet& Installation::scan_modules() {
    modules_.scan(module_search_path(paths_, module_directories_));
    return modules_;
}

}  // namespace flowd::core
