// SPDX-License-Identifier: Apache-2.0
#include "core/config/configuration.hpp"

#include <algorithm>
#include <array>

#include "core/base/version.hpp"
#include "core/config/binder.hpp"
#include "core/config/hints.hpp"
#include "core/config/implications.hpp"
#include "core/config/offline_host.hpp"
#include "core/config/source.hpp"
#include "flowd/nearest.hpp"

namespace flowd::core {

namespace {

constexpr std::array<std::uint32_t, 3> all_kinds{FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER};

std::string with_article(std::uint32_t kind) {
    return std::string(kind == FLOWD_ENRICHER ? "an " : "a ") + kind_name(kind);
}

/// The destination of the reports of a validate() call.
struct Reports {
    const InstanceConfig& instance;
    Problems& problems;
    bool has_error = false;

    static void report(const flowd_problems* to, const flowd_problem* problem) {
        if (to == nullptr || problem == nullptr) return;
        auto& self = *static_cast<Reports*>(to->context);
        const Problem& added = self.problems.add(self.instance.locate(*problem));
        if (added.level == FLOWD_LEVEL_ERROR) self.has_error = true;
    }
};

bool is_instance_name(std::string_view name) {
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
               c == '.';
    });
}

class Loader {
  public:
    Loader(const LoadContext& context, Problems& problems) : context_(context), problems_(problems) {}

    Configuration load(YamlNode root, const std::set<std::string>& public_files) {
        if (auto sample = take_how_to_sample(root)) problems_.add(std::move(*sample));
        cut_sections(root);
        read_globals(root);
        ComponentLookup& modules = context_.modules(configuration_.globals);
        for (std::size_t i = 0; i < all_kinds.size(); ++i) {
            for (const YamlNode::Entry& entry : sections_[i].entries) read_instance(all_kinds[i], entry, {}, modules);
            if (all_kinds[i] != FLOWD_BACKEND) continue;
            for (const ImpliedInstance& implied : implied_)
                if (!is_configured(FLOWD_BACKEND, implied.entry.key))
                    read_instance(FLOWD_BACKEND, implied.entry, implied.by, modules);
        }
        warn_of_public_secrets(public_files);
        warn_of_idleness();
        return std::move(configuration_);
    }

  private:
    void cut_sections(YamlNode& root) {
        for (std::size_t i = 0; i < all_kinds.size(); ++i) {
            const char* name = section_name(all_kinds[i]);
            const auto entry = std::find_if(root.entries.begin(), root.entries.end(),
                                            [&](const YamlNode::Entry& candidate) { return candidate.key == name; });
            if (entry == root.entries.end()) continue;
            if (entry->value.kind == YamlNode::Kind::map) {
                sections_[i] = std::move(entry->value);
            } else if (entry->value.kind != YamlNode::Kind::null) {
                Problem& problem = add(entry->value.where, name, "has to be a group of keys");
                problem.found = describe(entry->value);
                problem.hint =
                    std::string("write the name of a ") + kind_name(all_kinds[i]) + " and a colon, for example `NAME: {}`";
            }
            root.entries.erase(entry);
        }
    }

    void read_globals(const YamlNode& root) {
        std::vector<std::string> sections;
        sections.reserve(all_kinds.size());
        for (const std::uint32_t kind : all_kinds) sections.emplace_back(section_name(kind));
        Binder top(configuration_.global_values, problems_, context_.registry, context_.trust);
        bool good = top.bind_table(global_options(), &root, root.where, "", configuration_.global_values.root(), sections);

        // The section of the enrichers contains instances and settings of the core; the settings are removed from it.
        YamlNode& section = sections_[2];
        YamlNode settings;
        settings.kind = YamlNode::Kind::map;
        for (const Option& option : enricher_section_options()) {
            const auto entry =
                std::find_if(section.entries.begin(), section.entries.end(),
                             [&](const YamlNode::Entry& candidate) { return option.is_called(candidate.key); });
            if (entry == section.entries.end()) continue;
            settings.entries.push_back(std::move(*entry));
            section.entries.erase(entry);
        }
        Binder enrichers(configuration_.enricher_values, problems_, context_.registry, context_.trust);
        if (!enrichers.bind_table(enricher_section_options(), &settings, section.where, section_name(FLOWD_ENRICHER),
                                  configuration_.enricher_values.root()))
            good = false;
        if (good) {
            configuration_.globals = globals_of(configuration_.global_values.root(), configuration_.enricher_values.root());
            return;
        }
        // Modules are still searched for, so that all other problems are reported in the same run.
        const YamlNode modules = only(root, "modules");
        Problems said_already;
        ValueTree top_defaults, enricher_defaults;
        modules_known_ = Binder(top_defaults, said_already, context_.registry, context_.trust)
                             .bind_table(global_options(), &modules, {}, "", top_defaults.root());
        (void)Binder(enricher_defaults, said_already, context_.registry, context_.trust)
            .bind_table(enricher_section_options(), nullptr, {}, "", enricher_defaults.root());
        configuration_.globals = globals_of(top_defaults.root(), enricher_defaults.root());
    }

    [[nodiscard]] static YamlNode only(const YamlNode& map, std::string_view key) {
        YamlNode some;
        some.kind = YamlNode::Kind::map;
        if (const YamlNode::Entry* entry = map.find(key)) some.entries.push_back(*entry);
        return some;
    }

    void read_instance(std::uint32_t kind, const YamlNode::Entry& entry, const std::string& implied_by,
                       ComponentLookup& modules) {
        InstanceConfig instance;
        instance.implied_by = implied_by;
        instance.kind = kind;
        instance.where = entry.where;
        instance.written_path = std::string(section_name(kind)) + "." + entry.key;

        const std::size_t slash = entry.key.find('/');
        const std::string type = entry.key.substr(0, slash);
        const std::string name = slash == std::string::npos ? std::string() : entry.key.substr(slash + 1);
        if (slash != std::string::npos && !is_instance_name(name)) {
            Problem& problem = add(entry.where, instance.written_path, "the name after the slash is not valid");
            problem.found = entry.key;
            problem.allowed = "up to 64 letters, digits, '-', '_' and '.'";
            problem.hint = "write for example " + type + "/regional";
            return;
        }
        if (entry.value.kind != YamlNode::Kind::map && entry.value.kind != YamlNode::Kind::null) {
            Problem& problem = add(entry.value.where, instance.written_path, "has to be a group of options");
            problem.found = describe(entry.value);
            problem.hint = "write `" + entry.key + ": {}` to take its defaults";
            return;
        }

        YamlNode options;
        options.kind = YamlNode::Kind::map;
        options.where = entry.where;
        const bool core_keys_good = read_core_keys(entry, instance, options);
        if (!find_component(type, instance, modules)) return;

        instance.key = name.empty() ? instance.component_name : instance.component_name + "/" + name;
        if (const InstanceConfig* first = configuration_.find(kind, instance.key)) {
            Problem& problem = add(entry.where, instance.written_path, "the same instance as " + first->written_path);
            problem.found = "the first is at " + first->where.to_string();
            problem.hint = "give one of them a name, for example " + instance.component_name + "/second";
            return;
        }

        Binder binder(instance.values, problems_, context_.registry, context_.trust, context_.may_lack_rights);
        const bool good = binder.bind_table(instance.options, &options, entry.where, instance.written_path,
                                            instance.values.root(), core_words());
        secrets_.insert(binder.files_with_secrets().begin(), binder.files_with_secrets().end());
        if (good && core_keys_good && !binder.lacks_values()) validate(instance);
        if (good && kind == FLOWD_PLUGIN) imply(type, instance, entry.value);  // else its errors are reported twice
        configuration_.instances.push_back(std::move(instance));
    }

    [[nodiscard]] static std::vector<std::string> core_words() {
        std::vector<std::string> words;
        for (const Option& option : instance_options()) words.push_back(option.name);
        return words;
    }

    /// Reads `required` and `module`; all other keys go to `options`.
    bool read_core_keys(const YamlNode::Entry& entry, InstanceConfig& instance, YamlNode& options) {
        YamlNode core;
        core.kind = YamlNode::Kind::map;
        for (const YamlNode::Entry& key : entry.value.entries) {
            const auto& table = instance_options();
            const bool is_core =
                std::any_of(table.begin(), table.end(), [&](const Option& o) { return o.is_called(key.key); });
            (is_core ? core : options).entries.push_back(key);
        }
        ValueTree tree;
        Binder binder(tree, problems_, context_.registry, context_.trust);
        const bool good = binder.bind_table(instance_options(), &core, entry.where, instance.written_path, tree.root());
        const flowd_value& required = *item_at(tree.root(), 0);
        instance.required = !is_present(required) || required.integer != 0;
        instance.module_path = to_view(item_at(tree.root(), 1)->text);
        instance.module_configured = !instance.module_path.empty();
        instance.announce = item_at(tree.root(), 2)->integer != 0;
        return good;
    }

    /// Records the backend that the plugin implies, unless this component is the only announcer: it relays the flows that
    /// it receives.
    void imply(const std::string& type, InstanceConfig& plugin, const YamlNode& written) {
        const Catalog::Entry* known = plugin.module_configured ? nullptr : context_.catalog.find(FLOWD_PLUGIN, type);
        const bool implies = known != nullptr && !known->implies.backend.empty();
        if (!plugin.announce && !implies) {
            Problem& problem = add(written.where, plugin.written_path + ".announce", "has no effect: nothing is implied");
            problem.level = FLOWD_LEVEL_WARNING;
            problem.hint = "remove it";
        }
        plugin.relays = implies && applies(known->implies, written);
        if (!plugin.announce || !plugin.relays) return;
        const auto others = [&](const YamlNode::Entry& entry) {
            return context_.catalog.find(FLOWD_PLUGIN, entry.key.substr(0, entry.key.find('/'))) != known;
        };
        const auto& plugins = sections_[0].entries;
        if (std::any_of(plugins.begin(), plugins.end(), others))
            add_implied(implied_, known->implies, written, plugin.written_path);
    }

    /// Whether the file configures an instance of the component that this key names.
    [[nodiscard]] bool is_configured(std::uint32_t kind, const std::string& key) const {
        const std::string component = key.substr(0, key.find('/'));
        return std::any_of(configuration_.instances.begin(), configuration_.instances.end(),
                           [&](const InstanceConfig& one) {
                               return one.kind == kind && one.implied_by.empty() && one.component_name == component;
                           });
    }

    bool find_component(const std::string& type, InstanceConfig& instance, ComponentLookup& modules) {
        const Catalog::Entry* known = instance.module_path.empty() ? context_.catalog.find(instance.kind, type) : nullptr;
        const std::string name = known != nullptr ? known->name : type;
        const auto found = modules.find(instance.kind, name, instance.module_path);
        if (!found) {
            explain_absence(type, known, found.error(), instance, modules);
            return false;
        }
        instance.component = found->component;
        instance.component_name = found->component->name;
        instance.module_path = found->module_path;
        auto options =
            read_options(found->component->options, found->component->option_count, found->component->option_stride);
        if (!options) {
            Problem& problem =
                add(instance.where, instance.written_path, "module " + found->module_path + ": " + options.error().message);
            problem.category = Problem::Category::module_missing;
            problem.result = options.error().code;
            problem.hint = "ask the author of the module, or remove it";
            return false;
        }
        instance.options = std::move(options).value();
        return true;
    }

    void explain_absence(const std::string& type, const Catalog::Entry* known, const Error& error,
                         const InstanceConfig& instance, const ComponentLookup& modules) {
        if (!modules_known_ && error.code == FLOWD_NOT_FOUND)
            return;  // `modules` could not be read, so the module may exist
        Problem& problem = add(instance.where, instance.written_path, error.message);
        problem.category = Problem::Category::module_missing;
        problem.result = error.code;
        problem.hint = error.hint;
        if (!instance.required) problem.level = FLOWD_LEVEL_WARNING;
        if (error.code != FLOWD_NOT_FOUND || !instance.module_path.empty()) return;
        if (known != nullptr) {
            problem.message = "module '" + known->name + "' is not installed";
            problem.hint = "install the package " + known->package;
            if (!instance.implied_by.empty())
                problem.hint +=
                    "; or write `announce: false` beside " + instance.implied_by + ", which implies this backend";
            return;
        }
        std::vector<std::string> names, words;
        for (const Catalog::Entry& entry : context_.catalog.entries()) {
            if (entry.kind != instance.kind) continue;
            names.push_back(entry.name);
            words.push_back(entry.name);
            words.insert(words.end(), entry.aliases.begin(), entry.aliases.end());
        }
        for (const std::string& offered : modules.names(instance.kind)) {
            if (std::find(words.begin(), words.end(), offered) != words.end()) continue;
            names.push_back(offered);
            words.push_back(offered);
        }
        if (instance.kind == FLOWD_ENRICHER)
            for (const Option& option : enricher_section_options()) {
                names.push_back(option.name);
                words.push_back(option.name);
            }
        problem.message = std::string("no installed module has a ") + kind_name(instance.kind) + " of this name";
        problem.found = type;
        problem.allowed = join_words(names);
        problem.nearest = nearest_word(type, words);
        problem.hint = "install its module, or name its file with `module: /path/to/module.so`";
        const std::uint32_t elsewhere = kind_elsewhere(type, instance.kind, modules);
        if (problem.nearest.empty() && elsewhere == 0) return;
        problem.category = Problem::Category::configuration;
        problem.result = FLOWD_INVALID;
        problem.level = FLOWD_LEVEL_ERROR;
        problem.hint = elsewhere == 0 ? "write " + problem.nearest
                                      : "it is " + with_article(elsewhere) + ": write it below " + section_name(elsewhere);
        if (elsewhere != 0) problem.nearest.clear();
    }

    /// The kind of a component with that name in another section; 0: none.
    std::uint32_t kind_elsewhere(const std::string& type, std::uint32_t here, const ComponentLookup& modules) const {
        for (const std::uint32_t kind : all_kinds) {
            if (kind == here) continue;
            const auto offered = modules.names(kind);
            if (context_.catalog.find(kind, type) != nullptr ||
                std::find(offered.begin(), offered.end(), type) != offered.end())
                return kind;
        }
        return 0;
    }

    void validate(const InstanceConfig& instance) {
        if (instance.component->validate == nullptr) return;
        Reports reports{instance, problems_};
        const flowd_problems to{sizeof(flowd_problems), 0, &reports, &Reports::report};
        const OfflineHost host(context_.registry, instance.key, version(),
                               {[&](flowd_level level, std::string_view line) {
                                    if (context_.log) context_.log(instance.key, level, line);
                                },
                                {}});
        flowd_result result = FLOWD_EXCEPTION;
        try {
            result = instance.component->validate(host.abi(), &instance.value(), &to);
        } catch (...) {
            Problem& problem = add(instance.where, instance.written_path, "validate of the module threw an exception");
            problem.result = result;
            problem.hint = "this is a defect of the module";
            return;
        }
        if (result == FLOWD_OK || reports.has_error) return;
        Problem& problem = add(instance.where, instance.written_path, "refused by the module without a reason");
        problem.result = result;
        problem.hint = "see `flowd-cpp modules info " + instance.component_name + "`";
    }

    void warn_of_public_secrets(const std::set<std::string>& public_files) {
        for (const std::string& file : secrets_) {
            if (!public_files.contains(file)) continue;
            Problem& problem = add({file, 0, 0}, "", "contains a secret and is world-readable");
            problem.level = FLOWD_LEVEL_WARNING;
            problem.hint = "chmod 0640 " + file;
        }
    }

    void warn_of_idleness() {
        if (problems_.has_errors()) return;
        for (const std::uint32_t kind : {FLOWD_PLUGIN, FLOWD_BACKEND}) {
            const auto& all = configuration_.instances;
            const auto suffices = [&](const InstanceConfig& i) {
                return i.kind == kind || (kind == FLOWD_BACKEND && i.relays);
            };
            if (std::any_of(all.begin(), all.end(), suffices)) continue;
            Problem& problem = add({}, section_name(kind),
                                   std::string("no ") + kind_name(kind) + " is configured: no flow will be " +
                                       (kind == FLOWD_PLUGIN ? "learnt" : "marked or reported"));
            problem.level = FLOWD_LEVEL_WARNING;
            problem.hint = std::string("configure ") + with_article(kind) + " below " + section_name(kind);
            problem.id = kind == FLOWD_PLUGIN ? "daemon-no-source" : "daemon-no-sink";
        }
    }

    Problem& add(const Location& where, const std::string& path, std::string message) {
        Problem problem;
        problem.where = where;
        problem.path = path;
        problem.message = std::move(message);
        return problems_.add(std::move(problem));
    }

    const LoadContext& context_;
    Problems& problems_;
    Configuration configuration_;
    std::array<YamlNode, 3> sections_;
    std::vector<ImpliedInstance> implied_;
    std::set<std::string> secrets_;
    bool modules_known_ = true;
};

LoadedConfiguration finish(std::optional<Source> source, Problems problems, const LoadContext& context) {
    LoadedConfiguration loaded;
    loaded.problems = std::move(problems);
    if (source) {
        Configuration configuration = Loader(context, loaded.problems).load(std::move(source->root), source->public_files);
        configuration.files = std::move(source->files);
        if (!loaded.problems.has_errors()) loaded.configuration = std::move(configuration);
    }
    loaded.problems.sort();
    return loaded;
}

}  // namespace

LoadedConfiguration load_configuration(const std::filesystem::path& file, const LoadContext& context) {
    Problems problems;
    auto source = read_source(file, context.trust, problems);
    return finish(std::move(source), std::move(problems), context);
}

LoadedConfiguration parse_configuration(std::string_view text, const std::string& name, const LoadContext& context) {
    Problems problems;
    std::optional<Source> source;
    if (auto root = read_yaml(text, name, problems)) source = Source{std::move(*root), {}, {}};
    return finish(std::move(source), std::move(problems), context);
}

}  // namespace flowd::core
