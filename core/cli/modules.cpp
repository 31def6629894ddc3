// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/cli/commands.hpp"
#include "core/modules/describe.hpp"
#include "core/service/installation.hpp"
#include "flowd/nearest.hpp"

namespace flowd::core::cli {
namespace {

std::string searched(const GlobalOptions& options) {
    std::vector<std::string> names;
    for (const auto& directory : module_search_path(install_paths(), options.modules)) names.push_back(directory.string());
    return join_words(names, "and");
}

ExitCode unknown(const ModuleSet& set, const GlobalOptions& options, const Output& output, const std::string& name) {
    std::vector<std::string> names;
    for (const auto& module : set.modules()) {
        names.push_back(module->note.name.empty() ? module->path.stem().string() : module->note.name);
        for (const NoteComponent& component : module->note.components) names.push_back(component.name);
    }
    const std::string nearest = nearest_word(name, names);
    return output.fail(ExitCode::module, "there is no module \"" + name + "\" in " + searched(options),
                       nearest.empty()
                           ? "flowd-cpp modules list shows the installed ones; --modules DIR searches another directory"
                           : "did you mean \"" + nearest + "\"?");
}

}  // namespace

ExitCode list_modules(const GlobalOptions& options, const Output& output, bool load) {
    Installation installation(install_paths(), options.modules);
    ModuleSet& set = installation.scan_modules();
    if (load) set.load_all();
    if (set.modules().empty() && !output.json) {
        return output.fail(ExitCode::ok, "there are no modules in " + searched(options),
                           "install some, or name another directory with --modules DIR");
    }
    output.answer(describe_modules(set));
    const bool failed = std::any_of(set.modules().begin(), set.modules().end(),
                                    [](const auto& module) { return module->state == ModuleState::failed; });
    return failed ? ExitCode::module : ExitCode::ok;
}

ExitCode show_module(const GlobalOptions& options, const Output& output, const std::string& name) {
    Installation installation(install_paths(), options.modules);
    ModuleSet& set = installation.scan_modules();
    Module* module = set.find_module(name);
    if (module == nullptr) {
        // Users ask for "marker", not for "backend-marker".
        const std::vector<Module*> candidates = set.offering(name);
        if (candidates.size() > 1) {
            std::vector<std::string> names;
            names.reserve(candidates.size());
            for (const Module* candidate : candidates) names.push_back(candidate->note.name);
            return output.fail(ExitCode::usage, "several modules offer \"" + name + "\"", "ask for " + join_words(names));
        }
        if (!candidates.empty()) module = candidates.front();
    }
    if (module == nullptr && name.find('/') != std::string::npos) {
        if (auto loaded = set.load_file(name)) {
            module = *loaded;
        } else {
            return output.fail(ExitCode::module, loaded.error().message, loaded.error().hint);
        }
    }
    if (module == nullptr) return unknown(set, options, output, name);
    const auto loaded = set.load(*module);
    output.answer(describe_module(*module));
    return loaded ? ExitCode::ok : ExitCode::module;
}

}  // namespace flowd::core::cli
