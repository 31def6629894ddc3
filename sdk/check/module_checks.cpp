// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cctype>

#include "core/modules/tools.hpp"
#include "sdk/check/check.hpp"
#include "sdk/check/subject.hpp"
#include "sdk/check/symbols.hpp"

namespace flowd::check {

namespace {

Outcome of(const Result<void>& result) {
    return result ? Outcome::pass() : Outcome::fail(result.error().message);
}

Outcome note_present(Subject& subject) {
    const auto note = core::read_note(subject.target().module);
    if (!note) return Outcome::fail(note.error().message);
    const std::string expected = note->name + ".so";
    if (subject.target().module.filename() != expected)
        return Outcome::fail(fmt::format("its note names it {}, so its file must be named {}", note->name, expected));
    return Outcome::pass();
}

/// Loads as the daemon does: symbols, major, descriptor, components, options, and that the note says the same.
Outcome loads(Subject& subject) {
    const auto module = subject.module();
    Outcome outcome = module ? Outcome::pass() : Outcome::fail(module.error().message);
    outcome.unusable = !module;
    return outcome;
}

Outcome repeats_itself(Subject& subject) {
    auto first = subject.module();
    if (!first) return Outcome::skip("it does not load");
    // A second lookup, as a reload makes it, has to find the same.
    core::ModuleSet again(core::TrustPolicy{::geteuid(), false});
    auto second = again.load_file(subject.target().module);
    if (!second) return Outcome::fail(second.error().message);
    if ((*first)->declared.components.size() != (*second)->declared.components.size())
        return Outcome::fail("flowd_module_v1 returns a different result the second time");
    return Outcome::pass();
}

Outcome one_symbol(Subject& subject) {
    if (!subject.module()) return Outcome::skip("it does not load");
    const auto symbols = symbols_of(std::filesystem::canonical(subject.target().module));
    if (!symbols) return Outcome::fail(symbols.error().message);
    std::string others;
    for (const std::string& name : symbols->exported)
        if (name != FLOWD_MODULE_SYMBOL) others += (others.empty() ? "" : ", ") + name;
    if (others.empty()) return Outcome::pass();
    return Outcome::fail(
        fmt::format("it exports {} besides " FLOWD_MODULE_SYMBOL ": link it with a version script", others));
}

Outcome no_undefined(Subject& subject) {
    if (!subject.module()) return Outcome::skip("it does not load");
    const auto symbols = symbols_of(std::filesystem::canonical(subject.target().module));
    if (!symbols) return Outcome::fail(symbols.error().message);
    if (symbols->unresolved.empty()) return Outcome::pass();
    return Outcome::fail(fmt::format("it uses {}, which none of the libraries it names has: link it with -Wl,-z,defs",
                                     fmt::join(symbols->unresolved, ", ")));
}

bool is_sentence(std::string_view text) {
    if (text.size() < 3 || text.find('\n') != std::string_view::npos) return false;
    const auto first = static_cast<unsigned char>(text.front());
    return (std::isupper(first) != 0 || std::isdigit(first) != 0) && text.back() == '.';
}

Result<void> documented(const core::OptionTable& table, const std::string& above) {
    for (const core::Option& option : table) {
        const std::string place = above + option.name;
        if (!is_sentence(option.doc))
            return Error{
                FLOWD_INVALID,
                fmt::format(
                    "the doc of option {} is not one line that begins with a capital and ends with a full stop: '{}'",
                    place, option.doc),
                {}};
        const bool many = option.type == FLOWD_OPTION_LIST || option.type == FLOWD_OPTION_MAP;
        const core::OptionTable& below = many ? option.fields.at(0).fields : option.fields;
        if (auto checked = documented(below, place + "."); !checked) return checked;
    }
    return {};
}

Outcome options_documented(Subject& subject) {
    auto component = subject.component();
    if (!component) return Outcome::skip(component.error().message);
    return of(documented((*component)->options, ""));
}

/// An option that is replaced points to one that exists, and a secret is not shown by its default.
Outcome options_consistent(Subject& subject) {
    auto component = subject.component();
    if (!component) return Outcome::skip(component.error().message);
    const core::OptionTable& table = (*component)->options;
    for (const core::Option& option : table) {
        if (option.secret() && option.default_text && !option.default_text->empty())
            return Outcome::fail(fmt::format("option {} is secret, yet its default is for all to read", option.name));
        if (option.deprecated_by.empty()) continue;
        bool known = false;
        for (const core::Option& other : table) known = known || other.is_called(option.deprecated_by);
        if (!known)
            return Outcome::fail(
                fmt::format("option {} is deprecated by {}, which does not exist", option.name, option.deprecated_by));
    }
    return Outcome::pass();
}

Outcome options_defaults(Subject& subject) {
    const auto config = subject.config();
    return config ? Outcome::pass() : without_config(config.error());
}

/// Its tools are a table that the core takes, with documented options.
Outcome tools_complete(Subject& subject) {
    auto component = subject.component();
    if (!component) return Outcome::skip(component.error().message);
    const flowd_component& table = (*component)->table;
    if (table.offline == nullptr) return Outcome::absent("it offers nothing without an instance");
    if (table.offline("org.example.unknown/1") != nullptr)
        return Outcome::fail("offline(\"org.example.unknown/1\") is not null");
    const auto tools = core::read_tools(table);
    if (!tools) return Outcome::fail(tools.error().message);
    for (const core::Tool& tool : *tools)
        if (auto checked = documented(tool.options, tool.name + "."); !checked) return of(checked);
    return Outcome::pass();
}

Outcome summary_is_a_line(Subject& subject) {
    auto component = subject.component();
    if (!component) return Outcome::skip(component.error().message);
    const std::string_view summary = (*component)->table.summary;
    if (summary.empty() || summary.find('\n') != std::string_view::npos)
        return Outcome::fail("its summary is not one line of text");
    return Outcome::pass();
}

}  // namespace

std::vector<Check> module_checks() {
    return {
        {"note", "it has an ELF note that lists its components, and the name in it matches the file name", 0, note_present},
        {"loads", "the daemon loads it: symbols, ABI, descriptor, components, option tables; note and descriptor agree", 0,
         loads},
        {"loads-again", "flowd_module_v1 returns the same a second time", 0, repeats_itself},
        {"one-symbol", "it exports flowd_module_v1 and nothing else", 0, one_symbol},
        {"no-undefined", "every symbol it uses is in a library it names", 0, no_undefined},
        {"summary", "the component has a summary of one line", every_kind, summary_is_a_line},
        {"options-documented", "every option has one line of documentation", every_kind, options_documented},
        {"options-consistent", "deprecated options name their successor; secrets have no default", every_kind,
         options_consistent},
        {"tools", "its tools have a name, a summary, and documented options that fit a command line", every_kind,
         tools_complete},
        {"options-defaults", "the options by default, or those of --conf, pass validate", every_kind, options_defaults},
    };
}

}  // namespace flowd::check
