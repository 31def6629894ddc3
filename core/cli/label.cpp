// SPDX-License-Identifier: Apache-2.0
#include "core/cli/label.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/config/tag_text.hpp"
#include "flowd/json.hpp"
#include "flowd/label.hpp"
#include "flowd/nearest.hpp"
#include "flowd/number.hpp"

namespace flowd::core::cli {
namespace {

constexpr std::uint32_t max_scitag = 65535;  // domain of the SciTag header: 10 bits of experiment, 6 of activity

std::optional<std::uint32_t> parse_number(std::string_view text) {
    int base = 10;
    if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        text.remove_prefix(2);
        base = 16;
    }
    return whole_number<std::uint32_t>(text, base);
}

Error unknown_name(const char* what, std::string_view name, const std::vector<std::string>& names) {
    const std::string nearest = nearest_word(name, names);
    return Error{FLOWD_INVALID, fmt::format("there is no {} \"{}\" in the registry", what, name),
                 nearest.empty() ? "write its number, or one of: " + join_words(names)
                                 : fmt::format("did you mean \"{}\"?", nearest)};
}

Result<std::uint32_t> activity_of(std::uint32_t experiment, std::string_view text, const Registry& registry) {
    if (const auto number = parse_number(text)) return *number;
    if (const auto id = registry.activity_id(experiment, text)) return *id;
    std::vector<std::string> names;
    if (const auto found = registry.experiments().find(experiment); found != registry.experiments().end()) {
        for (const auto& [id, name] : found->second.activities) names.push_back(name);
    }
    return unknown_name(("activity of experiment " + std::to_string(experiment)).c_str(), text, names);
}

bool is_registered(flowd_tag tag, const Registry& registry) {
    return !registry.activity_name(tag.experiment, tag.activity).empty();
}

void write_tag(json::Writer& writer, flowd_tag tag, const Registry& registry) {
    writer.member("experiment", tag.experiment);
    if (const auto name = registry.experiment_name(tag.experiment); !name.empty()) writer.member("experimentName", name);
    writer.member("activity", tag.activity);
    if (const auto name = registry.activity_name(tag.experiment, tag.activity); !name.empty()) {
        writer.member("activityName", name);
    }
}

/// The five entropy bits of `n` at their positions in the label.
std::uint32_t spread_entropy(std::uint32_t n) {
    std::uint32_t entropy = 0;
    for (std::uint32_t bit = 0, next = 0; bit < 20; ++bit) {
        if ((label::entropy_mask >> bit & 1) != 0) entropy |= (n >> next++ & 1) << bit;
    }
    return entropy;
}

struct Decoded {
    std::uint32_t number = 0;
    flowd_tag tag{};
    bool is_known = false;  ///< registered, or the registry is empty: shown as a tag
    std::string hint;
};

/// The hint for a label without a registered tag. A label that the kernel chose at random must not look like a tag.
std::string hint_of(std::uint32_t number, flowd_tag tag, const Registry& registry) {
    if ((number & label::semantic_mask) == 0)
        return number == 0 ? "label 0: the packet is not marked" : "0/0 means \"no valid tag\": announced, never marked";
    const flowd_tag other = label::from_scitag(number);
    if (number <= max_scitag && is_registered(other, registry)) {
        // encode() accepts every experiment that a scitag can hold, but a registry may contain others.
        const auto encoded = label::encode(other);
        return fmt::format("looks like a scitag: {}{}", tag_in_words(other, registry),
                           encoded ? ", its label is " + label_text(*encoded) : std::string());
    }
    if (number <= max_scitag && !registry.experiment_name(other.experiment).empty())
        return fmt::format("looks like a scitag that is not in the registry: {}", tag_in_words(other, registry));
    return "not in the registry: probably not a SciTag (it would be " + tag_in_words(tag, registry) + ")";
}

Result<Decoded> decode(std::string_view value, const Registry& registry) {
    const auto number = parse_number(value);
    if (!number) {
        return Error{FLOWD_INVALID, fmt::format("\"{}\" is not a number", value),
                     "write it in decimal, or in hexadecimal with 0x"};
    }
    if (*number > label::mask) {
        return Error{FLOWD_INVALID,
                     fmt::format("{} is not a flow label: the range is 0 to {} (20 bits)", value, label_text(label::mask))};
    }
    const flowd_tag tag = label::decode(*number);
    const bool is_known = registry.experiments().empty() || is_registered(tag, registry);
    return Decoded{*number, tag, is_known, is_known ? std::string() : hint_of(*number, tag, registry)};
}

Result<Decoded> decode_scitag(std::string_view value, const Registry& registry) {
    const auto number = parse_number(value);
    if (!number) {
        return Error{FLOWD_INVALID, fmt::format("\"{}\" is not a number", value),
                     "write it in decimal, or in hexadecimal with 0x"};
    }
    if (*number > max_scitag) {
        Error error{FLOWD_INVALID, fmt::format("{} is not a scitag: the range is 65 to {}", *number, max_scitag)};
        if (*number <= label::mask) {
            const flowd_tag tag = label::decode(*number);
            error.hint = fmt::format("it looks like a label, the scitag is {} ({})", label::scitag(tag),
                                     tag_in_words(tag, registry));
        }
        return error;
    }
    const flowd_tag tag = label::from_scitag(*number);
    std::string hint;
    if (!label::encode(tag))
        hint = fmt::format("experiment {} does not fit a flow label (0 to 511)", tag.experiment);
    else if (!registry.experiments().empty() && !is_registered(tag, registry))
        hint = "not in the registry";
    return Decoded{*number, tag, true, std::move(hint)};
}

}  // namespace

Result<std::uint32_t> experiment_of(std::string_view text, const Registry& registry) {
    if (const auto number = parse_number(text)) return *number;
    if (const auto id = registry.experiment_id(text)) return *id;
    std::vector<std::string> names;
    for (const auto& [id, experiment] : registry.experiments()) names.push_back(experiment.name);
    return unknown_name("experiment", text, names);
}

std::vector<std::uint32_t> labels_of(flowd_tag tag) {
    std::vector<std::uint32_t> labels;
    for (std::uint32_t n = 0; n < 32; ++n)
        if (const auto encoded = label::encode(tag, spread_entropy(n))) labels.push_back(*encoded);
    return labels;
}

Result<std::string> encode_label(std::string_view experiment, std::string_view activity, bool all,
                                 const Registry& registry) {
    const auto experiment_id = experiment_of(experiment, registry);
    if (!experiment_id) return experiment_id.error();
    const auto activity_id = activity_of(*experiment_id, activity, registry);
    if (!activity_id) return activity_id.error();
    const flowd_tag tag{*experiment_id, *activity_id};
    const auto encoded = label::encode(tag);
    if (!encoded) {
        const bool is_activity = tag.activity > label::max_activity;
        return Error{FLOWD_INVALID,
                     fmt::format("a flow label carries experiments 0 to {} and activities 0 to {}, not {}/{}",
                                 label::max_experiment, label::max_activity, tag.experiment, tag.activity),
                     tag_meant_by(is_activity ? tag.activity : tag.experiment, registry)};
    }
    std::string text;
    json::Writer writer(text);
    writer.object().member("label", label_text(*encoded)).member("labelDecimal", *encoded);
    writer.member("scitag", label::scitag(tag));
    write_tag(writer, tag, registry);
    if (tag.experiment == 0 && tag.activity == 0)
        writer.member("hint", "0/0 means \"no valid tag\": announced, never marked");
    if (all) {
        writer.key("labels").array();
        for (const std::uint32_t one : labels_of(tag)) writer.value(label_text(one));
        writer.end();
    }
    writer.end();
    return text;
}

Result<std::string> decode_label(std::string_view value, bool is_scitag, const Registry& registry) {
    const auto decoded = is_scitag ? decode_scitag(value, registry) : decode(value, registry);
    if (!decoded) return decoded.error();
    std::string text;
    json::Writer writer(text);
    writer.object();
    if (is_scitag)
        writer.member("scitag", decoded->number);
    else
        writer.member("label", label_text(decoded->number)).member("labelDecimal", decoded->number);
    if (decoded->is_known) write_tag(writer, decoded->tag, registry);
    if (!registry.experiments().empty()) writer.member("registered", is_registered(decoded->tag, registry));
    if (is_scitag) {
        if (const auto encoded = label::encode(decoded->tag))
            writer.member("label", label_text(*encoded)).member("labelDecimal", *encoded);
    } else {
        writer.member("entropy", label_text(decoded->number & label::entropy_mask));
        if (decoded->is_known) writer.member("scitag", label::scitag(decoded->tag));
    }
    if (!decoded->hint.empty()) writer.member("hint", decoded->hint);
    writer.end();
    return text;
}

Result<std::string> label_line(std::string_view value, bool is_scitag, const Registry& registry) {
    const auto decoded = is_scitag ? decode_scitag(value, registry) : decode(value, registry);
    if (!decoded) return decoded.error();
    const std::string number = is_scitag ? std::to_string(decoded->number) : label_text(decoded->number);
    if (!decoded->is_known) return number + "  " + decoded->hint;
    return number + "  " + tag_in_words(decoded->tag, registry) + (decoded->hint.empty() ? "" : ": " + decoded->hint);
}

std::vector<std::string_view> labels_in(std::string_view text) {
    constexpr std::array<std::string_view, 6> names{"flowlabel",  "flow label", "flow_label",
                                                    "flow-label", "ipv6.flow",  "flowlbl"};
    constexpr std::string_view digits = "0123456789abcdefABCDEFxX";
    constexpr std::string_view between = " \t:=\"',[(";
    const std::string lower = lower_case(text);
    std::vector<std::string_view> found;
    for (std::size_t at = 0; at < lower.size(); ++at) {
        const auto name = std::find_if(names.begin(), names.end(),
                                       [&](std::string_view one) { return lower.compare(at, one.size(), one) == 0; });
        if (name == names.end()) continue;
        at += name->size();
        const std::size_t begin = std::min(text.find_first_not_of(between, at), text.size());
        const std::string_view number =
            text.substr(begin, std::min(text.find_first_not_of(digits, begin), text.size()) - begin);
        if (parse_number(number)) found.push_back(number);
        at = begin - 1;
    }
    if (!found.empty()) return found;
    constexpr std::string_view separators = " \t\r,;\"";
    for (std::size_t at = text.find_first_not_of(separators); at < text.size();) {
        const std::size_t end = std::min(text.find_first_of(separators, at), text.size());
        const std::string_view word = text.substr(at, end - at);
        if (!parse_number(word)) return {};
        found.push_back(word);
        at = text.find_first_not_of(separators, end);
    }
    return found;
}

}  // namespace flowd::core::cli
