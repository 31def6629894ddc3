// SPDX-License-Identifier: Apache-2.0
#include "core/config/hints.hpp"

#include <algorithm>

#include "core/config/scalar.hpp"
#include "flowd/address.hpp"
#include "flowd/nearest.hpp"

namespace flowd::core {

namespace {

bool is_host_option(const Option& option) {
    return option.type == FLOWD_OPTION_HOST || option.type == FLOWD_OPTION_ADDRESS;
}

bool is_collection(const Option& option) {
    return option.type == FLOWD_OPTION_GROUP || option.type == FLOWD_OPTION_LIST || option.type == FLOWD_OPTION_MAP;
}

/// "collector" for "collectorAddress"; empty for "address".
std::string stem_of(const std::string& name) {
    for (const std::string_view end : {"address", "host"}) {
        const std::string lower = lower_case(name);
        if (lower.ends_with(end)) return name.substr(0, name.size() - end.size());
    }
    return name;
}

/// The row that represents this one: for the item row of a list, the row of the list.
const Option& row_of(const Option& option, const OptionTable& siblings) {
    for (const Option& row : siblings)
        if (row.type == FLOWD_OPTION_LIST && &row.fields.front() == &option) return row;
    return option;
}

const Option* port_beside(const Option& option, const OptionTable& siblings) {
    const std::string stem = stem_of(option.name);
    for (const std::string& name : {stem + (stem.empty() ? "port" : "Port"), std::string("port")})
        for (const Option& row : siblings)
            if (row.name == name) return &row;
    return nullptr;
}

struct HostAndPort {
    std::string host, port;
};

std::optional<HostAndPort> split(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos || Address::parse(text)) return std::nullopt;
    const auto port = parse_integer(text.substr(colon + 1));
    std::string host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    if (!port.ok() || port.value < 1 || port.value > 65535 || !is_host(host)) return std::nullopt;
    return HostAndPort{host, text.substr(colon + 1)};
}

std::string in_quotes(const std::string& host) {
    return host.find(':') == std::string::npos ? host : '"' + host + '"';
}

std::string hint_for_port(const Option& option, const HostAndPort& found, const OptionTable& siblings) {
    const Option& row = row_of(option, siblings);
    const Option* const port = &row == &option ? port_beside(option, siblings) : nullptr;
    if (port == nullptr) return "write " + in_quotes(found.host) + ": there is no port in it";
    return "write `" + option.name + ": " + in_quotes(found.host) + "` and `" + port->name + ": " + found.port + "`";
}

/// The list option for several values of this option: collectors for collectorAddress.
const Option* list_beside(const Option& option, const OptionTable& siblings) {
    const std::string stem = stem_of(option.name);
    if (stem.empty()) return nullptr;
    for (const Option& row : siblings)
        if (row.type == FLOWD_OPTION_LIST && row.name.starts_with(stem) && row.name != option.name) return &row;
    return nullptr;
}

/// The field that a single value is taken for.
const Option* main_field(const Option& group) {
    for (const Option& field : group.fields)
        if (field.required() && !is_collection(field)) return &field;
    for (const Option& field : group.fields)
        if (is_host_option(field)) return &field;
    return nullptr;
}

std::string as_item(const Option& list, const YamlNode& value) {
    const Option& item = list.fields.front();
    const Option* const field = item.type == FLOWD_OPTION_GROUP ? main_field(item) : nullptr;
    return field == nullptr ? describe(value) : "{" + field->name + ": " + describe(value) + "}";
}

std::string hint_for_list(const Option& option, const YamlNode& node, const OptionTable& siblings) {
    const bool plain = !node.items.empty() && std::all_of(node.items.begin(), node.items.end(), [](const YamlNode& item) {
        return item.kind == YamlNode::Kind::scalar;
    });
    if (!plain) return "write one value";
    if (node.items.size() == 1) return "write " + describe(node.items.front()) + ", without brackets";
    const Option* const list = list_beside(option, siblings);
    if (list == nullptr) return "write one value: " + describe(node.items.front());
    std::string items;
    for (const YamlNode& item : node.items) items += (items.empty() ? "" : ", ") + as_item(*list, item);
    return "write `" + list->name + ": [" + items + "]`";
}

/// The value at root.section.key.
const YamlNode* value_at(const YamlNode& root, std::string_view section, std::string_view key) {
    const YamlNode::Entry* const group = root.find(section);
    const YamlNode::Entry* const entry = group == nullptr ? nullptr : group->value.find(key);
    return entry == nullptr ? nullptr : &entry->value;
}

}  // namespace

bool is_host(std::string_view text) {
    if (Address::parse(text)) return true;
    if (text.empty() || text.size() > 253 || text.front() == '.' || text.front() == '-') return false;
    const bool good = std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
               c == '_';
    });
    // Text of digits and dots only is a malformed address.
    return good && text.find("..") == std::string_view::npos &&
           text.find_first_not_of("0123456789.") != std::string_view::npos;
}

bool names_variable(std::string_view text) {
    const std::size_t open = text.find("${");
    return open != std::string_view::npos && text.find('}', open) != std::string_view::npos;
}

std::string hint_for(const Option& option, const YamlNode& node, const OptionTable& siblings) {
    if (node.kind == YamlNode::Kind::scalar && names_variable(node.text))
        return "variables are not substituted: write the value itself";
    if (option.secret()) return {};  // a hint would repeat the secret
    if (node.kind == YamlNode::Kind::scalar && is_host_option(option))
        if (const auto found = split(node.text)) return hint_for_port(option, *found, siblings);
    if (node.kind == YamlNode::Kind::sequence && !is_collection(option)) return hint_for_list(option, node, siblings);
    if (node.kind == YamlNode::Kind::map && !is_collection(option)) return "write one value";
    if (node.kind == YamlNode::Kind::scalar && option.type == FLOWD_OPTION_GROUP && !option.holds_secret())
        if (const Option* const field = main_field(option)) return "write {" + field->name + ": " + describe(node) + "}";
    if (node.kind == YamlNode::Kind::scalar && option.type == FLOWD_OPTION_LIST && !option.holds_secret())
        return "write [" + as_item(option, node) + "]";
    if (node.kind == YamlNode::Kind::map && option.type == FLOWD_OPTION_LIST && !node.entries.empty())
        return "begin each entry with a hyphen: `- " + node.entries.front().key + ": ...`";
    return {};
}

std::optional<Problem> take_how_to_sample(YamlNode& root) {
    const YamlNode* const registry = value_at(root, "settings", "flow_map_api");
    const YamlNode* const host = value_at(root, "firefly", "collector_host");
    if (registry == nullptr && host == nullptr) return std::nullopt;
    const YamlNode* const port = value_at(root, "firefly", "collector_port");
    Problem problem;
    problem.where = registry != nullptr ? root.find("settings")->where : root.find("firefly")->where;
    problem.message = "this is the sample of the SciTags how-to, which neither flowd-go nor flowd-cpp reads";
    problem.found = registry != nullptr ? "settings" : "firefly.collector_host";
    problem.hint = "it means: {backends: {firefly: {sendToCollector: true, collectorAddress: " +
                   (host != nullptr ? in_quotes(describe(*host)) : std::string("HOST")) +
                   (port != nullptr ? ", collectorPort: " + describe(*port) : std::string()) +
                   "}}}, and below `plugins:` where the flows come from; the registry is installed with flowd-cpp";
    std::erase_if(root.entries,
                  [](const YamlNode::Entry& entry) { return entry.key == "settings" || entry.key == "firefly"; });
    return problem;
}

}  // namespace flowd::core
