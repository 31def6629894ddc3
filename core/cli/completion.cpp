// SPDX-License-Identifier: Apache-2.0
#include "core/cli/completion.hpp"

#include <simdjson.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "core/base/text.hpp"
#include "core/cli/commands.hpp"
#include "core/control/client.hpp"
#include "core/service/installation.hpp"
#include "flowd/number.hpp"

namespace flowd::core::cli {
namespace {

namespace dom = simdjson::dom;

constexpr std::chrono::milliseconds patience{500};

bool takes_value(const CLI::Option& option) {
    return option.get_items_expected_max() > 0;
}

/// "a" and "b" for "KIND:{a,b}", in which CLI11 lists the allowed values.
std::vector<std::string> choices_of(const std::string& type) {
    std::vector<std::string> choices;
    const auto open = type.find('{'), close = type.rfind('}');
    if (open == std::string::npos || close == std::string::npos) return choices;
    for (std::size_t at = open + 1; at < close;) {
        const std::size_t end = std::min(type.find(',', at), close);
        choices.push_back(type.substr(at, end - at));
        at = end + 1;
    }
    return choices;
}

class Completion {
  public:
    Completion(const CLI::App& root, const GlobalOptions& options, std::string current)
        : root_(root), app_(&root), options_(options), current_(std::move(current)) {}

    std::string candidates(const std::vector<std::string>& before) {
        const CLI::Option* open = nullptr;
        for (const std::string& word : before) {
            if (open != nullptr)
                open = nullptr;
            else if (word.size() > 1 && word.front() == '-')
                open = option_with_value(word);
            else
                take(word);
        }
        if (open != nullptr)
            add_values(open->get_type_name());
        else if (!words_.empty() && app_ == &root_)
            add_for_component();
        else if (!current_.empty() && current_.front() == '-')
            add_flags();
        else
            add_words();
        return std::move(out_);
    }

  private:
    void add(const std::string& word, std::string about = {}) {
        if (word.rfind(current_, 0) != 0 || !added_.insert(word).second) return;
        std::replace(about.begin(), about.end(), '\n', ' ');
        out_ += printable(word) + (about.empty() ? "" : "\t" + printable(about)) + "\n";
    }

    /// The option whose value is the next word; null if there is none.
    const CLI::Option* option_with_value(const std::string& word) const {
        if (word.find('=') != std::string::npos) return nullptr;
        for (const CLI::App* app = app_; app != nullptr; app = app->get_parent()) {
            const CLI::Option* const option = app->get_option_no_throw(word);
            if (option != nullptr) return takes_value(*option) ? option : nullptr;
        }
        return nullptr;
    }

    void take(const std::string& word) {
        if (words_.empty())
            for (const CLI::App* sub : app_->get_subcommands([](const CLI::App*) { return true; }))
                if (sub->get_name() == word) {
                    app_ = sub;
                    return;
                }
        words_.push_back(word);
    }

    void add_flags() {
        std::map<std::string, std::string> flags;
        for (const CLI::App* app = app_; app != nullptr; app = app->get_parent())
            for (const CLI::Option* option : app->get_options())
                for (const std::string& name : option->get_lnames()) {
                    if (app_ != &root_ && name == "version") continue;
                    flags.emplace("--" + name, option->get_description());
                }
        for (const auto& [name, about] : flags) add(name, about);
    }

    void add_words() {
        for (const CLI::App* sub : app_->get_subcommands([](const CLI::App*) { return true; }))
            add(sub->get_name(), sub->get_description());
        if (app_ == &root_) {
            add_instances();
            for (const auto& [name, about] : components()) add(name, about);
            return add_flags();
        }
        const auto positional = app_->get_options([](const CLI::Option* option) { return option->get_positional(); });
        const bool repeats = !positional.empty() && positional.back()->get_items_expected_max() > 1;
        const std::size_t next = repeats ? std::min(words_.size(), positional.size() - 1) : words_.size();
        if (next < positional.size()) add_values(positional[next]->get_type_name());
        if (out_.empty()) add_flags();
    }

    void add_values(const std::string& type) {
        const std::string name = type.substr(0, type.find(':'));
        for (const std::string& choice : choices_of(type)) add(choice);
        if (name == "FILE" || name == "PATH") out_ += ":files\n";
        if (name == "DIR") out_ += ":directories\n";
        if (name == "INSTANCE") add_instances();
        if (name == "MODULE") add_modules();
        if (name == "EXPERIMENT") add_experiments();
        if (name == "ACTIVITY") add_activities();
        if (name != "FLOW|TAG") return;
        if (!words_.empty()) return add_activities();
        for (const char* protocol : {"tcp", "udp", "sctp"}) add(protocol);
        add_experiments();
    }

    void add_experiments() {
        for (const auto& [id, experiment] : installation().registry().experiments())
            add(experiment.name, "experiment " + std::to_string(id));
    }

    void add_activities() {
        if (words_.empty()) return;
        const Registry& registry = installation().registry();
        auto id = whole_number<std::uint32_t>(words_.back());
        if (!id) id = registry.experiment_id(words_.back());
        const auto experiment = id ? registry.experiments().find(*id) : registry.experiments().end();
        if (experiment == registry.experiments().end()) return;
        for (const auto& [activity, name] : experiment->second.activities)
            add(name, "activity " + std::to_string(activity));
    }

    void add_modules() {
        for (const auto& module : installation().modules().modules())
            if (!module->note.name.empty()) add(module->note.name, "module");
        for (const auto& [name, about] : components()) add(name, about);
    }

    /// Names and kinds: "firefly": "backend".
    std::map<std::string, std::string> components() {
        std::map<std::string, std::string> all;
        for (const auto& module : installation().modules().modules())
            for (const NoteComponent& component : module->note.components) {
                std::string& about = all[component.name];
                about += (about.empty() ? "" : ", ") + std::string(kind_name(component.kind));
            }
        return all;
    }

    /// After the name of a component or an instance: its tools and commands, then the options of a tool.
    void add_for_component() {
        const std::vector<OfferedTool> tools = list_tools(options_, words_.front());
        if (words_.size() > 1) {
            for (const OfferedTool& tool : tools)
                if (tool.name == words_[1])
                    for (const auto& [name, about] : tool.options) add(name, about);
            return;
        }
        if (!current_.empty() && current_.front() == '-') return add_flags();
        for (const OfferedTool& tool : tools) add(tool.name, tool.summary);
        for (const Command& command : commands())
            if (command.instance == words_.front() || command.name_with_kind() == words_.front())
                add(command.word, command.summary);
    }

    struct Command {
        std::string instance, kind, word, summary;
        [[nodiscard]] std::string name_with_kind() const { return kind + ":" + instance; }
    };
    /// The commands of the running daemon; empty if none is running.
    std::vector<Command> commands() const {
        std::vector<Command> all;
        const auto reply = control::request(control_path(options_), {"commands"}, patience);
        dom::parser parser;
        dom::array rows;
        if (!reply || parser.parse(reply->json).get(rows) != simdjson::SUCCESS) return all;
        for (const dom::element row : rows) {
            std::string_view instance, kind, word, summary;
            if (row["instance"].get(instance) == simdjson::SUCCESS && row["kind"].get(kind) == simdjson::SUCCESS &&
                row["command"].get(word) == simdjson::SUCCESS && row["summary"].get(summary) == simdjson::SUCCESS)
                all.push_back({std::string(instance), std::string(kind), std::string(word), std::string(summary)});
        }
        return all;
    }

    void add_instances() {
        std::map<std::string, std::vector<Command>> by_name;
        for (Command& command : commands()) {
            auto& same = by_name[command.instance];
            const bool known =
                std::any_of(same.begin(), same.end(), [&](const Command& c) { return c.kind == command.kind; });
            if (!known) same.push_back(std::move(command));
        }
        for (const auto& [name, kinds] : by_name)
            for (const Command& one : kinds) add(kinds.size() == 1 ? name : one.name_with_kind(), one.kind);
    }

    Installation& installation() {
        if (!installation_) {
            installation_.emplace(install_paths(), options_.modules);
            (void)installation_->scan_modules();
        }
        return *installation_;
    }

    const CLI::App& root_;
    const CLI::App* app_;
    const GlobalOptions& options_;
    const std::string current_;
    std::vector<std::string> words_;  ///< neither subcommands nor options
    std::optional<Installation> installation_;
    std::set<std::string> added_;
    std::string out_;
};

}  // namespace

std::string complete(const CLI::App& root, const GlobalOptions& options, const std::vector<std::string>& words) {
    if (words.empty()) return Completion(root, options, {}).candidates({});
    return Completion(root, options, words.back()).candidates({words.begin(), words.end() - 1});
}

}  // namespace flowd::core::cli
