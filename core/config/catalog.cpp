// SPDX-License-Identifier: Apache-2.0
#include "core/config/catalog.hpp"

#include "core/base/files.hpp"
#include "core/config/binder.hpp"
#include "core/config/component_lookup.hpp"
#include "flowd/nearest.hpp"

namespace flowd::core {

namespace {

/// The catalog is parsed by option tables, like all other YAML of the core.
OptionTable catalog_table() {
    Option text;
    text.type = FLOWD_OPTION_STRING;
    Option aliases = text;
    aliases.type = FLOWD_OPTION_LIST;
    aliases.name = "aliases";
    aliases.fields = {text};
    Option package = text;
    package.name = "package";
    package.flags = FLOWD_OPTION_REQUIRED;
    Option entry;
    entry.type = FLOWD_OPTION_GROUP;
    Option when = text, backend = text, options = text;
    when.name = "when";
    backend.name = "backend";
    options.type = FLOWD_OPTION_MAP;
    options.name = "options";
    options.fields = {text};
    Option implies;
    implies.type = FLOWD_OPTION_GROUP;
    implies.name = "implies";
    implies.fields = {when, backend, options};
    Option needs = aliases, wants = aliases;
    needs.name = "needs";
    wants.name = "wants";
    entry.fields = {package, aliases, implies, needs, wants};
    OptionTable table;
    for (const std::uint32_t kind : {FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER}) {
        Option section;
        section.type = FLOWD_OPTION_MAP;
        section.name = section_name(kind);
        section.fields = {entry};
        table.push_back(std::move(section));
    }
    return table;
}

std::vector<std::string> texts_of(const flowd_value& list) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < list.item_count; ++i) texts.push_back(text_at(list, i));
    return texts;
}

}  // namespace

Result<Catalog> Catalog::load(const std::filesystem::path& file) {
    auto text = read_file(file);
    if (!text) return std::move(text).error().within("the catalog of components");
    return parse(*text, file.string());
}

Result<Catalog> Catalog::parse(std::string_view yaml, const std::string& file_name) {
    Problems problems;
    ValueTree tree;
    const Registry none;
    const Binder::Trust no_judgement;
    const auto root = read_yaml(yaml, file_name, problems);
    if (root) {
        Binder binder(tree, problems, none, no_judgement);
        (void)binder.bind_table(catalog_table(), &*root, root->where, "", tree.root());
    }
    if (const Problem* problem = problems.decisive())
        return Error{FLOWD_INVALID, problem->to_string(), "reinstall the package flowd-cpp"};
    Catalog catalog;
    std::size_t section = 0;
    for (const std::uint32_t kind : {FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER}) {
        const flowd_value& entries = *item_at(tree.root(), section++);
        for (std::size_t i = 0; i < entries.item_count; ++i) {
            const flowd_value& item = *item_at(entries, i);
            Entry entry;
            entry.kind = kind;
            entry.name = to_view(item.key);
            entry.package = text_at(item, 0);
            entry.aliases = texts_of(*item_at(item, 1));
            entry.needs = texts_of(*item_at(item, 3));
            entry.wants = texts_of(*item_at(item, 4));
            const flowd_value& implies = *item_at(item, 2);
            entry.implies = {text_at(implies, 0), text_at(implies, 1), {}};
            if (entry.implies.when.empty() != entry.implies.backend.empty())
                return Error{FLOWD_INVALID, file_name + ": implies of " + entry.name + " needs `when` and `backend`",
                             "reinstall the package flowd-cpp"};
            const flowd_value& options = *item_at(implies, 2);
            for (std::size_t j = 0; j < options.item_count; ++j)
                entry.implies.options.emplace_back(to_view(item_at(options, j)->key), text_at(options, j));
            catalog.entries_.push_back(std::move(entry));
        }
    }
    return catalog;
}

const Catalog::Entry* Catalog::find(std::uint32_t kind, std::string_view name) const {
    const std::string wanted = lower_case(name);
    for (const Entry& entry : entries_) {
        if (entry.kind != kind) continue;
        if (lower_case(entry.name) == wanted) return &entry;
        for (const std::string& alias : entry.aliases)
            if (lower_case(alias) == wanted) return &entry;
    }
    return nullptr;
}

}  // namespace flowd::core
