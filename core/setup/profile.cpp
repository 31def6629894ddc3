// SPDX-License-Identifier: Apache-2.0
#include "core/setup/profile.hpp"

#include <algorithm>
#include <optional>

#include "core/base/files.hpp"
#include "core/config/render.hpp"
#include "core/config/scalar.hpp"
#include "core/setup/yaml_path.hpp"
#include "flowd/number.hpp"

namespace flowd::core {
namespace fs = std::filesystem;
namespace {

std::string text_at_key(const YamlNode& node, std::string_view key) {
    const YamlNode::Entry* const entry = node.find(key);
    return entry == nullptr ? std::string() : entry->value.text;
}

std::vector<std::string> list_at_key(const YamlNode& node, std::string_view key) {
    std::vector<std::string> list;
    if (const YamlNode::Entry* const entry = node.find(key))
        for (const YamlNode& item : entry->value.items) list.push_back(item.text);
    return list;
}

Result<Question> read_question(const YamlNode& node) {
    Question question;
    question.name = text_at_key(node, "name");
    question.aliases = list_at_key(node, "aliases");
    question.none = list_at_key(node, "none");
    question.option = text_at_key(node, "option");
    question.without = text_at_key(node, "without");
    question.from = text_at_key(node, "from");
    question.fallback = text_at_key(node, "default");
    question.text = text_at_key(node, "text");
    question.asked = parse_boolean(text_at_key(node, "asked")).value_or(true);
    const std::string choose = text_at_key(node, "choose");
    if (choose == "experiment") question.choice = Question::Choice::experiment;
    if (choose == "activity") question.choice = Question::Choice::activity;
    if (choose == "interfaces") question.choice = Question::Choice::interfaces;
    const auto is_option = [](const std::string& name) {
        return !name.empty() && name.front() >= 'a' && name.front() <= 'z' &&
               name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
    };
    for (const auto* const names : {&question.aliases, &question.none})
        if (!std::all_of(names->begin(), names->end(), is_option))
            return Error{FLOWD_INVALID, node.where.to_string() + ": an alias is not the name of an option"};
    if (!is_option(question.name) || question.option.empty())
        return Error{FLOWD_INVALID, node.where.to_string() + ": a question has a `name` (a-z, 0-9, -) and an `option`"};
    return question;
}

Result<Profile> read_profile(const fs::path& file) {
    const auto text = read_file(file);
    if (!text) return text.error();
    Problems problems;
    const auto root = read_yaml(*text, file.string(), problems);
    if (!root) return Error{FLOWD_INVALID, problems.to_string()};
    Profile profile;
    profile.name = file.stem().string();
    profile.summary = text_at_key(*root, "summary");
    profile.configuration = text_at_key(*root, "configuration");
    const auto configuration = read_yaml(profile.configuration, file.string(), problems);
    if (!configuration) return Error{FLOWD_INVALID, problems.to_string()};
    if (const YamlNode::Entry* const questions = root->find("questions"))
        for (const YamlNode& node : questions->value.items) {
            auto question = read_question(node);
            if (!question) return question.error();
            for (const std::string& path : {question->option, question->without})
                if (node_at(*configuration, path) == nullptr)
                    return Error{FLOWD_INVALID,
                                 node.where.to_string() + ": the configuration of the profile has no " + path};
            profile.questions.push_back(std::move(*question));
        }
    return profile;
}

std::string scalar_of(const std::string& text) {
    return whole_number<std::uint32_t>(text) ? text : yaml_text(text);
}

/// The name of a registered id; any other answer unchanged.
std::string tag_text(const Question& question, const std::string& answer, const std::string& experiment,
                     const Registry& registry) {
    const auto id = whole_number<std::uint32_t>(answer);
    if (!id) return yaml_text(answer);
    const auto of = whole_number<std::uint32_t>(experiment) ? whole_number<std::uint32_t>(experiment)
                                                            : registry.experiment_id(experiment);
    const bool is_experiment = question.choice == Question::Choice::experiment;
    const auto name = is_experiment ? registry.experiment_name(*id)
                      : of          ? registry.activity_name(*of, *id)
                                    : std::string_view();
    return name.empty() ? answer : yaml_text(name);
}

}  // namespace

std::string Profile::configured(const Answers& answers, const Registry& registry) const {
    std::string text = configuration, experiment;
    for (const Question& question : questions) {
        const auto answer = answers.find(question.name);
        if (answer == answers.end()) continue;
        if (question.choice == Question::Choice::experiment) experiment = answer->second;
        if (answer->second == "none" && question.may_be_none()) {
            text = without_key(std::move(text), question.without);
            continue;
        }
        Problems ignored;
        const auto root = read_yaml(text, name, ignored);
        const YamlNode* const node = root ? node_at(*root, question.option) : nullptr;
        if (node == nullptr) continue;  // removed by an earlier answer
        std::string value;
        if (node->kind == YamlNode::Kind::sequence) {
            for (const std::string& word : words_of(answer->second)) {
                value += value.empty() ? "[" : ", ";
                value += scalar_of(word);
            }
            value += value.empty() ? "[]" : "]";
        } else if (question.choice == Question::Choice::text) {
            value = scalar_of(answer->second);
        } else {
            value = tag_text(question, answer->second, experiment, registry);
        }
        text = with_value(std::move(text), question.option, value);
    }
    return text;
}

const Profile* Profiles::find(std::string_view name) const {
    const auto found = std::find_if(profiles.begin(), profiles.end(), [&](const Profile& one) { return one.name == name; });
    return found == profiles.end() ? nullptr : &*found;
}

Profiles load_profiles(const fs::path& directory) {
    Profiles all;
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
        if (entry->path().extension() == ".yaml") files.push_back(entry->path());
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
        auto profile = read_profile(file);
        if (profile)
            all.profiles.push_back(std::move(*profile));
        else
            all.errors.push_back(profile.error());
    }
    return all;
}

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(", \t"), text.size());
        if (end > 0) words.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

}  // namespace flowd::core
