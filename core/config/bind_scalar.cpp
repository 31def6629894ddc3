// SPDX-License-Identifier: Apache-2.0
// The part of Binder that reads scalars.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "core/config/binder.hpp"
#include "core/config/hints.hpp"
#include "core/config/scalar.hpp"
#include "core/config/tag_text.hpp"
#include "core/config/value_file.hpp"
#include "flowd/address.hpp"
#include "flowd/label.hpp"
#include "flowd/nearest.hpp"

namespace flowd::core {

namespace {

/// Empty text means "not set", as in flowd-go's `programPath: ""`.
bool may_be_empty(const Option& option) {
    const auto type = option.type;
    return (type == FLOWD_OPTION_PATH || type == FLOWD_OPTION_HOST || type == FLOWD_OPTION_ADDRESS ||
            type == FLOWD_OPTION_NETWORK) &&
           !option.required() && (!option.default_text || option.default_text->empty());
}

const char* must_be(std::uint32_t type) {
    switch (type) {
        case FLOWD_OPTION_BOOLEAN:
            return "not true or false";
        case FLOWD_OPTION_INTEGER:
            return "not an integer";
        case FLOWD_OPTION_NUMBER:
            return "not a number";
        case FLOWD_OPTION_CHOICE:
            return "not one of the choices";
        case FLOWD_OPTION_DURATION:
            return "not a duration";
        case FLOWD_OPTION_SIZE:
            return "not a size";
        case FLOWD_OPTION_ADDRESS:
            return "not an address";
        case FLOWD_OPTION_NETWORK:
            return "not a network";
        case FLOWD_OPTION_HOST:
            return "not a host";
        case FLOWD_OPTION_PATH:
            return "not an absolute file name";
        case FLOWD_OPTION_EXPERIMENT:
            return "not an experiment";
        case FLOWD_OPTION_ACTIVITY:
            return "not an activity";
        default:
            return "not a text";
    }
}

/// The experiment row for this activity row: the one with the corresponding name, else the first.
const Option* experiment_beside(const Option& activity, const OptionTable& table, std::size_t& index) {
    const Option* first = nullptr;
    std::string wanted = lower_case(activity.name);
    if (const auto at = wanted.find("activit"); at != std::string::npos) {
        const bool plural = wanted.compare(at, 10, "activities") == 0;
        wanted.replace(at, plural ? 10 : 8, plural ? "experiments" : "experiment");
    }
    for (std::size_t i = 0; i < table.size(); ++i) {
        const Option& row = table[i];
        const bool is_list = row.type == FLOWD_OPTION_LIST && row.fields[0].type == FLOWD_OPTION_EXPERIMENT;
        if (row.type != FLOWD_OPTION_EXPERIMENT && !is_list) continue;
        if (lower_case(row.name) == wanted) {
            index = i;
            return &row;
        }
        if (first == nullptr) {
            first = &row;
            index = i;
        }
    }
    return first;
}

}  // namespace

bool Binder::bind_scalar(const Option& option, const YamlNode& node, const At& at, Group& group, flowd_value& out) {
    if (node.kind == YamlNode::Kind::null) return reject(option, node, at, "has no value", "write one, or remove the line");
    if (node.kind != YamlNode::Kind::scalar) return reject(option, node, at, must_be(option.type));
    if (node.text.empty() && may_be_empty(option)) return true;
    out.flags = present(!at.is_default);
    switch (option.type) {
        case FLOWD_OPTION_BOOLEAN:
        case FLOWD_OPTION_INTEGER:
        case FLOWD_OPTION_NUMBER:
        case FLOWD_OPTION_DURATION:
        case FLOWD_OPTION_SIZE:
            return bind_number(option, node, at, out);
        case FLOWD_OPTION_EXPERIMENT:
            return bind_experiment(option, node, at, out);
        case FLOWD_OPTION_ACTIVITY:
            return bind_activity(option, node, at, group, list_index_, out);
        default:
            return bind_text(option, node, at, out);
    }
}

bool Binder::bind_file(const Option& option, const YamlNode& node, const At& at, flowd_value& out) {
    out.size = sizeof(flowd_value);
    out.type = option.type;
    Problem problem;
    problem.where = node.where;
    problem.path = at.written;
    problem.found = describe(node);
    if (node.kind != YamlNode::Kind::scalar || !node.text.starts_with('/')) {
        problem.message = must_be(FLOWD_OPTION_PATH);
        problem.allowed = "an absolute file name";
        problem.hint = "write the name of a file whose first line is the value";
        problems_.add(std::move(problem));
        return false;
    }
    auto real = trust_ ? trust_(node.text) : Result<std::filesystem::path>(std::filesystem::path(node.text));
    auto value = real ? read_value_file(*real, at.secret) : Result<std::string>(std::move(real).error());
    const bool may_not = !value && ::access(node.text.c_str(), R_OK) != 0 && errno == EACCES;
    if (!value) {
        problem.result = value.error().code;
        problem.message = value.error().message;
        problem.hint = value.error().hint;
        if (value.error().code != FLOWD_INVALID) problem.category = Problem::Category::system;
        if (may_not) problem.hint = "run as root or as the daemon's user, or let the daemon's group read it";
        if (may_not && may_lack_rights_) problem.level = FLOWD_LEVEL_WARNING;
        problems_.add(std::move(problem));
        if (!may_not || !may_lack_rights_) return false;
        lacks_values_ = true;
    }
    out.flags = present(true);
    out.text = tree_.keep(value ? std::string_view(*value) : std::string_view());
    tree_.remember_file(out, node.text);
    return true;
}

bool Binder::bind_text(const Option& option, const YamlNode& node, const At& at, flowd_value& out) {
    std::string text = node.text;
    switch (option.type) {
        case FLOWD_OPTION_CHOICE: {
            auto word = std::find(option.choices.begin(), option.choices.end(), text);
            if (word == option.choices.end())
                word = std::find_if(option.choices.begin(), option.choices.end(),
                                    [&](const std::string& one) { return lower_case(one) == lower_case(text); });
            if (word == option.choices.end())
                return reject(option, node, at, must_be(option.type), {},
                              at.secret ? std::string() : nearest_word(text, option.choices));
            text = *word;
            break;
        }
        case FLOWD_OPTION_ADDRESS: {
            const auto address = Address::parse(text);
            if (!address) return reject(option, node, at, must_be(option.type));
            if (text.find('%') != std::string::npos)
                return reject(option, node, at, "an interface cannot be given here",
                              "write another address, or :: for all");
            std::copy(address->bytes().begin(), address->bytes().end(), out.address);
            text = address->to_string();
            break;
        }
        case FLOWD_OPTION_NETWORK: {
            const auto network = Network::parse(text);
            if (!network) return reject(option, node, at, must_be(option.type), "bits behind the prefix have to be zero");
            std::copy(network->address.bytes().begin(), network->address.bytes().end(), out.address);
            out.integer = network->length;
            text = network->to_string();
            break;
        }
        case FLOWD_OPTION_HOST:
            if (!is_host(text)) return reject(option, node, at, must_be(option.type));
            break;
        case FLOWD_OPTION_PATH:
            if (text.empty() || text.front() != '/') return reject(option, node, at, must_be(option.type));
            if (option.trusted() && !check_path(option, node, at)) return false;
            break;
        default:
            break;
    }
    if (!at.is_default && names_variable(text)) warn_of_variable(node, at);
    out.text = tree_.keep(text);
    return true;
}

void Binder::warn_of_variable(const YamlNode& node, const At& at) {
    Problem problem;
    problem.level = FLOWD_LEVEL_WARNING;
    problem.where = node.where;
    problem.path = at.written;
    problem.message = "taken as it is written: variables are not substituted";
    problem.found = at.secret ? "(secret)" : describe(node);
    problem.hint = "write the value itself";
    problems_.add(std::move(problem));
}

bool Binder::bind_number(const Option& option, const YamlNode& node, const At& at, flowd_value& out) {
    if (option.type == FLOWD_OPTION_BOOLEAN) {
        const auto flag = parse_boolean(node.text);
        if (!flag) return reject(option, node, at, must_be(option.type));
        out.integer = *flag ? 1 : 0;
        keep_canonical(at, out, *flag ? "true" : "false");
        return true;
    }
    if (option.type == FLOWD_OPTION_NUMBER) {
        const auto number = parse_number(node.text);
        if (number.error == ScalarError::overflow) return reject(option, node, at, "out of range");
        if (!number.ok()) return reject(option, node, at, must_be(option.type));
        if (!option.in_range(number.value)) return reject(option, node, at, "out of range");
        out.number = number.value;
        keep_canonical(at, out, number_text(number.value));
        return true;
    }
    const auto parsed = option.type == FLOWD_OPTION_DURATION ? parse_duration(node.text, option.unit)
                        : option.type == FLOWD_OPTION_SIZE   ? parse_size(node.text)
                                                             : parse_integer(node.text);
    switch (parsed.error) {
        case ScalarError::form:
            return reject(option, node, at, must_be(option.type));
        case ScalarError::overflow:
            return reject(option, node, at, "out of range");
        case ScalarError::no_unit:
            return reject(option, node, at, "has no unit",
                          at.secret ? std::string() : "write for example " + node.text + "s");
        case ScalarError::none:
            break;
    }
    if (!check_range(option, parsed.value, node, at)) return false;
    out.integer = parsed.value;
    keep_canonical(at, out,
                   option.type == FLOWD_OPTION_DURATION ? duration_text(parsed.value)
                   : option.type == FLOWD_OPTION_SIZE   ? size_text(parsed.value)
                                                        : std::to_string(parsed.value));
    return true;
}

bool Binder::bind_experiment(const Option& option, const YamlNode& node, const At& at, flowd_value& out) {
    auto number = parse_integer(node.text);
    if (number.error == ScalarError::form) {
        const auto id = registry_.experiment_id(node.text);
        if (!id) {
            std::vector<std::string> names;
            for (const auto& known : registry_.experiments()) names.push_back(known.second.name);
            return reject(option, node, at, "not an experiment of the registry", {}, nearest_word(node.text, names));
        }
        number = {*id, ScalarError::none};
    }
    if (!number.ok()) return reject(option, node, at, "out of range");
    if (!check_range(option, number.value, node, at)) return false;
    out.integer = number.value;
    const bool is_known = !registry_.experiment_name(static_cast<std::uint32_t>(number.value)).empty();
    warn_of_tag(option, number.value, is_known ? "" : "not an experiment of the registry", node, at);
    keep_canonical(at, out, std::to_string(number.value));
    return true;
}

std::optional<std::uint32_t> Binder::experiment_of(const Option& activity, const Group& group, std::size_t index,
                                                   bool& unknown) const {
    for (const Option& row : group.table) {
        const bool in_list = row.type == FLOWD_OPTION_LIST && &row.fields[0] == &activity;
        if (&row != &activity && !in_list) continue;
        std::size_t at = 0;
        const Option* beside = experiment_beside(row, group.table, at);
        if (beside == nullptr) return std::nullopt;
        unknown = group.failed[at] != 0;
        const flowd_value& value = group.items[at];
        if (unknown || (value.flags & FLOWD_VALUE_PRESENT) == 0) return std::nullopt;
        if (beside->type == FLOWD_OPTION_EXPERIMENT) return static_cast<std::uint32_t>(value.integer);
        const flowd_value* item = value.item_count == 1 ? item_at(value, 0) : in_list ? item_at(value, index) : nullptr;
        if (item != nullptr) return static_cast<std::uint32_t>(item->integer);
    }
    return std::nullopt;
}

bool Binder::bind_activity(const Option& option, const YamlNode& node, const At& at, Group& group, std::size_t index,
                           flowd_value& out) {
    auto number = parse_integer(node.text);
    bool unknown = false;
    const auto experiment = experiment_of(option, group, index, unknown);
    if (number.error == ScalarError::form) {
        if (unknown) return false;  // reported already; the activity cannot be checked without its experiment
        const auto id =
            experiment ? registry_.activity_id(*experiment, node.text) : registry_.common_activity_id(node.text);
        if (!id && experiment && registry_.experiment_name(*experiment).empty())
            return reject(option, node, at, "experiment " + std::to_string(*experiment) + " is not in the registry",
                          "write the number of the activity");
        if (!id) {
            std::vector<std::string> names;
            bool elsewhere = false;
            for (const auto& known : registry_.experiments()) {
                if (experiment && known.first != *experiment) continue;
                for (const auto& activity : known.second.activities) {
                    names.push_back(activity.second);
                    elsewhere = elsewhere || lower_case(activity.second) == lower_case(node.text);
                }
            }
            if (!experiment && elsewhere)
                return reject(option, node, at, "has another number in each experiment",
                              "write its number, or an experiment beside it");
            const std::string of =
                experiment ? "of experiment " + std::string(registry_.experiment_name(*experiment)) : "of the registry";
            return reject(option, node, at, "not an activity " + of, {}, nearest_word(node.text, names));
        }
        number = {*id, ScalarError::none};
    }
    if (!number.ok()) return reject(option, node, at, "out of range");
    if (!check_range(option, number.value, node, at)) return false;
    out.integer = number.value;
    const std::string_view name = experiment ? registry_.experiment_name(*experiment) : std::string_view();
    const bool is_known =
        name.empty() || !registry_.activity_name(*experiment, static_cast<std::uint32_t>(number.value)).empty();
    warn_of_tag(option, number.value, is_known ? "" : "not an activity of experiment " + std::string(name), node, at);
    keep_canonical(at, out, std::to_string(number.value));
    return true;
}

/// Warns of an experiment or activity that exceeds a flow label or is not in the registry. 0 means "no tag". With an
/// empty registry only the size is checked.
void Binder::warn_of_tag(const Option& option, std::int64_t number, const std::string& unregistered, const YamlNode& node,
                         const At& at) {
    const std::int64_t most = option.type == FLOWD_OPTION_EXPERIMENT ? label::max_experiment : label::max_activity;
    const bool is_unknown = !unregistered.empty() && number != 0 && !registry_.experiments().empty();
    if (at.is_default || at.secret || (number <= most && !is_unknown)) return;
    Problem problem;
    problem.level = FLOWD_LEVEL_WARNING;
    problem.where = node.where;
    problem.path = at.written;
    problem.message = number > most ? "no flow label can carry it" : unregistered + ": collectors will not know it";
    problem.found = describe(node);
    if (number > most) problem.allowed = "0 to " + std::to_string(most);
    problem.hint = tag_meant_by(number, registry_);
    problem.id = !problem.hint.empty() ? "daemon-tag-mistaken"
                 : number > most       ? "daemon-tag-not-carried"
                                       : "daemon-tag-unregistered";
    if (problem.hint.empty()) problem.hint = "write the name or the number of one that is registered";
    problems_.add(std::move(problem));
}

bool Binder::check_range(const Option& option, std::int64_t value, const YamlNode& node, const At& at) {
    const bool is_id = option.type == FLOWD_OPTION_EXPERIMENT || option.type == FLOWD_OPTION_ACTIVITY;
    const bool never_negative = is_id || option.type == FLOWD_OPTION_DURATION || option.type == FLOWD_OPTION_SIZE;
    bool good = option.in_range(static_cast<double>(value));
    if (!option.minimum && never_negative && value < 0) good = false;
    if (is_id && value > std::numeric_limits<std::uint32_t>::max()) good = false;
    return good || reject(option, node, at, "out of range", is_id ? tag_meant_by(value, registry_) : std::string());
}

bool Binder::check_path(const Option& option, const YamlNode& node, const At& at) {
    if (!trust_ || at.is_default) return true;
    const auto trusted = trust_(node.text);
    if (trusted) return true;
    return reject(option, node, at, trusted.error().message, trusted.error().hint);
}

void Binder::keep_canonical(const At& at, flowd_value& out, std::string_view text) {
    if (!at.secret) out.text = tree_.keep(text);
}

}  // namespace flowd::core
