// SPDX-License-Identifier: Apache-2.0
#include "core/modules/module_set.hpp"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <exception>
#include <system_error>

#include "core/modules/dynamic_library.hpp"

namespace flowd::core {
namespace fs = std::filesystem;

namespace {

bool same_module_name(std::string_view a, std::string_view b) {
    return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

enum class By { name, alias };

bool offers(const Note& note, std::uint32_t kind, std::string_view name, By by) {
    return std::any_of(note.components.begin(), note.components.end(), [&](const NoteComponent& component) {
        if (component.kind != kind) return false;
        if (by == By::name) return same_module_name(component.name, name);
        return std::any_of(component.aliases.begin(), component.aliases.end(),
                           [&](const std::string& alias) { return same_module_name(alias, name); });
    });
}

/// Untrusted files are not read.
void read_note_of(Module& module, const TrustPolicy& trust) {
    auto file = trusted_path(module.path, trust);
    auto note = file ? read_note(*file) : Result<Note>(std::move(file).error());
    if (note) {
        module.note = std::move(*note);
        module.state = ModuleState::found;
        module.failure.reset();
    } else {
        module.note = {};
        module.state = ModuleState::failed;
        module.failure = std::move(note).error();
    }
}

/// Calls flowd_module_v1. A module built without the exception barrier may throw; this must not end the daemon.
Result<const flowd_module*> call_entry(flowd_module_function entry) {
    try {
        return entry(FLOWD_ABI_MINOR);
    } catch (const std::exception& exception) {
        return Error{FLOWD_EXCEPTION, fmt::format("flowd_module_v1 threw an exception: {}", exception.what()), {}};
    } catch (...) {
        return Error{FLOWD_EXCEPTION, "flowd_module_v1 threw an exception", {}};
    }
}

std::vector<fs::path> shared_objects(const fs::path& directory) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
        if (it->path().extension() == ".so") files.push_back(it->path());
    std::sort(files.begin(), files.end());
    return files;
}

}  // namespace

void ModuleSet::scan(const std::vector<fs::path>& directories) {
    std::vector<std::unique_ptr<Module>> before = std::move(modules_);
    modules_.clear();
    const auto known = [](std::vector<std::unique_ptr<Module>>& list, const fs::path& path) {
        return std::find_if(list.begin(), list.end(), [&](const auto& module) { return module && module->path == path; });
    };
    const auto taken = [&](const fs::path& path) {
        return std::any_of(modules_.begin(), modules_.end(),
                           [&](const auto& module) { return module->path.filename() == path.filename(); });
    };
    for (const fs::path& directory : directories) {
        for (const fs::path& path : shared_objects(fs::absolute(directory).lexically_normal())) {
            if (taken(path)) continue;
            auto old = known(before, path);
            auto module = old != before.end() ? std::move(*old) : std::make_unique<Module>();
            module->path = path;
            if (module->state != ModuleState::loaded) read_note_of(*module, trust_);
            modules_.push_back(std::move(module));
        }
    }
    // Loaded modules stay, including those that were loaded by path from other directories.
    for (auto& old : before)
        if (old && old->state == ModuleState::loaded) modules_.push_back(std::move(old));
    std::stable_sort(modules_.begin(), modules_.end(),
                     [](const auto& a, const auto& b) { return a->path.filename() < b->path.filename(); });
}

Module* ModuleSet::find_module(std::string_view name) {
    const auto matches = [&](const std::unique_ptr<Module>& module) {
        return module->path.native() == name || module->path.filename().native() == name ||
               module->path.stem().native() == name || (!module->note.name.empty() && module->note.name == name);
    };
    const auto found = std::find_if(modules_.begin(), modules_.end(), matches);
    return found == modules_.end() ? nullptr : found->get();
}

std::vector<Module*> ModuleSet::offering(std::string_view name) const {
    std::vector<Module*> found;
    for (const By by : {By::name, By::alias}) {
        for (const auto& module : modules_)
            if (offers(module->note, FLOWD_PLUGIN, name, by) || offers(module->note, FLOWD_BACKEND, name, by) ||
                offers(module->note, FLOWD_ENRICHER, name, by))
                found.push_back(module.get());
        if (!found.empty()) break;
    }
    return found;
}

Module* ModuleSet::holder(std::uint32_t kind, std::string_view name) const {
    for (const By by : {By::name, By::alias})
        for (const auto& module : modules_)
            if (offers(module->note, kind, name, by)) return module.get();
    // A module whose note cannot be read is recognised by its file name.
    const std::string expected = fmt::format("{}-{}", kind_name(kind), name);
    for (const auto& module : modules_)
        if (module->state == ModuleState::failed && same_module_name(module->path.stem().native(), expected))
            return module.get();
    return nullptr;
}

Result<Descriptor> ModuleSet::open(const Module& module) const {
    auto file = trusted_path(module.path, trust_);
    if (!file) return std::move(file).error();
    if (module.note.abi_major != FLOWD_ABI_MAJOR)
        return Error{FLOWD_UNSUPPORTED,
                     fmt::format("it is for module ABI {}.{}, this daemon speaks {}.{}", module.note.abi_major,
                                 module.note.abi_minor, FLOWD_ABI_MAJOR, FLOWD_ABI_MINOR),
                     "install the module built for this version of flowd-cpp"};
    auto entry = load_entry(*file);
    if (!entry) return std::move(entry).error();
    auto declared = call_entry(*entry);
    if (!declared) return std::move(declared).error();
    auto descriptor = read_descriptor(*declared);
    if (!descriptor) return descriptor;
    if (auto same = compare_with_note(*descriptor, module.note); !same) return std::move(same).error();
    return descriptor;
}

Result<void> ModuleSet::load(Module& module) {
    if (module.state == ModuleState::loaded) return {};
    if (module.state == ModuleState::failed) return *module.failure;
    const auto stamp = stamp_of(module.path);
    auto descriptor = open(module);
    if (!descriptor) {
        module.state = ModuleState::failed;
        module.failure = std::move(descriptor).error();
        return *module.failure;
    }
    module.declared = std::move(*descriptor);
    module.stamp = stamp;
    module.state = ModuleState::loaded;
    return {};
}

Result<Module*> ModuleSet::load_file(const fs::path& path) {
    const fs::path file = fs::absolute(path).lexically_normal();
    auto known = std::find_if(modules_.begin(), modules_.end(), [&](const auto& module) { return module->path == file; });
    if (known == modules_.end()) {
        std::error_code error;
        if (!fs::exists(file, error))
            return Error{FLOWD_NOT_FOUND, fmt::format("the module {} does not exist", file.string()), {}};
        auto module = std::make_unique<Module>();
        module->path = file;
        read_note_of(*module, trust_);
        modules_.push_back(std::move(module));
        known = std::prev(modules_.end());
    }
    Module& module = **known;
    if (auto loaded = load(module); !loaded) return std::move(loaded).error();
    return &module;
}

std::vector<fs::path> ModuleSet::changed_files() const {
    std::vector<fs::path> changed;
    for (const auto& module : modules_)
        if (module->state == ModuleState::loaded && stamp_of(module->path) != module->stamp)
            changed.push_back(module->path);
    return changed;
}

void ModuleSet::load_all() {
    for (const auto& module : modules_) (void)load(*module);  // the result is kept as the module's state
}

Result<FoundComponent> ModuleSet::find_in(Module& module, std::uint32_t kind, std::string_view name) {
    if (auto loaded = load(module); !loaded) {
        Error error = std::move(loaded).error();
        // The component exists: "not found" would suggest that a package is missing.
        if (error.code == FLOWD_NOT_FOUND) error.code = FLOWD_ERROR;
        return std::move(error).within(fmt::format("the module {} was refused", module.path.string()));
    }
    std::string held;
    for (const auto& component : module.declared.components) {
        if (component->table.kind == kind && component->answers_to(name))
            return FoundComponent{&component->table, module.path.string()};
        fmt::format_to(std::back_inserter(held), "{}{} '{}'", held.empty() ? "" : ", ", kind_name(component->table.kind),
                       component->name());
    }
    return Error{FLOWD_NOT_FOUND,
                 fmt::format("the module {} holds {}, not {} '{}'", module.path.string(), held, kind_name(kind), name),
                 {}};
}

Result<FoundComponent> ModuleSet::find(std::uint32_t kind, std::string_view name, std::string_view module_path) {
    if (!module_path.empty()) {
        auto module = load_file(module_path);
        if (!module && module.error().code == FLOWD_NOT_FOUND) return std::move(module).error();
        if (Module* known = find_module(fs::absolute(module_path).lexically_normal().native()))
            return find_in(*known, kind, name);
        return std::move(module).error();
    }
    if (Module* const module = holder(kind, name)) return find_in(*module, kind, name);
    return Error{FLOWD_NOT_FOUND, fmt::format("no installed module has a {} '{}'", kind_name(kind), name), {}};
}

std::vector<std::string> ModuleSet::names(std::uint32_t kind) const {
    std::vector<std::string> list;
    for (const auto& module : modules_)
        for (const NoteComponent& component : module->note.components)
            if (component.kind == kind) {
                list.push_back(component.name);
                list.insert(list.end(), component.aliases.begin(), component.aliases.end());
            }
    return list;
}

}  // namespace flowd::core
