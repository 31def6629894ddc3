// SPDX-License-Identifier: Apache-2.0
#include "core/cli/label.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/config/nearest.hpp"
#include "core/config/tag_text.hpp"
#include "flowd/json.hpp"
#include "flowd/label.hpp"

namespace flowd::core::cli {
namespace {

constexpr std::uint32_t max_scitag = 65535;  // domain of the SciTag header: 10 bits of experiment, 6 of activity

std::optional<std::uint32_t> parse_number(std::string_view text) {
    int base = 10;
    if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        text.remove_prefix(2);
        base = 16;
    }
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

Error unknown_name(const char* what, std::string_view name, const std::vector<std::string>& names) {
    const std::string nearest = nearest_word(name, names);
    return Error{FLOWD_INVALID, fmt::format("there is no {} \"{}\" in the registry", what, name),
                 nearest.empty() ? "write its number, or one of: " + join_words(names)
                                 : fmt::format("did you mean \"{}\"?", nearest)};
}

Result<std::uint32_t> experiment_of(std::string_view text, const Registry& registry) {
    if (const auto number = parse_number(text)) return *number;
    if (const auto id = registry.experiment_id(text)) return *id;
    std::vector<std::string> names;
    for (const auto& [id, experiment] : registry.experiments()) names.push_back(experiment.name);
    return unknown_name("experiment", text, names);
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

std::string hex(std::uint32_t label) {
    return fmt::format("0x{:05x}", label);
}

/// The five entropy bits of `n` at their positions in the label.
std::uint32_t spread_entropy(std::uint32_t n) {
    std::uint32_t entropy = 0;
    for (std::uint32_t bit = 0, next = 0; bit < 20; ++bit) {
        if ((label::entropy_mask >> bit & 1) != 0) entropy |= (n >> next++ & 1) << bit;
    }
    return entropy;
}

Result<std::string> decode_scitag(std::uint32_t number, const Registry& registry) {
    if (number > max_scitag) {
        Error error{FLOWD_INVALID, fmt::format("{} is not a scitag: the range is 65 to {}", number, max_scitag)};
        if (number <= label::mask) {
            const flowd_tag tag = label::decode(number);
            error.hint = fmt::format("it looks like a label, the scitag is {} ({})", label::scitag(tag),
                                     tag_in_words(tag, registry));
        }
        return error;
    }
    const flowd_tag tag = label::from_scitag(number);
    std::string text;
    json::Writer writer(text);
    writer.object().member("scitag", number);
    write_tag(writer, tag, registry);
    if (const auto encoded = label::encode(tag)) {
        writer.member("label", hex(*encoded)).member("labelDecimal", *encoded);
    } else {
        writer.member("hint", fmt::format("experiment {} does not fit a flow label (0 to 511)", tag.experiment));
    }
    writer.end();
    return text;
}

}  // namespace

Result<std::string> encode_label(std::string_view experiment, std::string_view activity, bool all,
                                 const Registry& registry) {
    const auto experiment_id = experiment_of(experiment, registry);
    if (!experiment_id) return experiment_id.error();
    const auto activity_id = activity_of(*experiment_id, activity, registry);
    if (!activity_id) return activity_id.error();
    const flowd_tag tag{*experiment_id, *activity_id};
    const auto encoded = label::encode(tag);
    if (!encoded) {
        return Error{FLOWD_INVALID,
                     fmt::format("a flow label carries experiments 0 to {} and activities 0 to {}, not {}/{}",
                                 label::max_experiment, label::max_activity, tag.experiment, tag.activity)};
    }
    std::string text;
    json::Writer writer(text);
    writer.object().member("label", hex(*encoded)).member("labelDecimal", *encoded);
    writer.member("scitag", label::scitag(tag));
    write_tag(writer, tag, registry);
    if (tag.experiment == 0 && tag.activity == 0)
        writer.member("hint", "0/0 means \"no valid tag\": announced, never marked");
    if (all) {
        writer.key("labels").array();
        for (std::uint32_t n = 0; n < 32; ++n) writer.value(hex(*label::encode(tag, spread_entropy(n))));
        writer.end();
    }
    writer.end();
    return text;
}

Result<std::string> decode_label(std::string_view value, bool is_scitag, const Registry& registry) {
    const auto number = parse_number(value);
    if (!number) {
        return Error{FLOWD_INVALID, fmt::format("\"{}\" is not a number", value),
                     "write it in decimal, or in hexadecimal with 0x"};
    }
    if (is_scitag) return decode_scitag(*number, registry);
    if (*number > label::mask) {
        return Error{FLOWD_INVALID,
                     fmt::format("{} is not a flow label: the range is 0 to {} (20 bits)", value, hex(label::mask))};
    }
    const flowd_tag tag = label::decode(*number);
    std::string text;
    json::Writer writer(text);
    writer.object().member("label", hex(*number)).member("labelDecimal", *number);
    write_tag(writer, tag, registry);
    writer.member("entropy", hex(*number & label::entropy_mask)).member("scitag", label::scitag(tag));
    const flowd_tag other = label::from_scitag(*number);
    if (*number <= max_scitag && is_registered(other, registry) && !is_registered(tag, registry)) {
        // encode() accepts every experiment that a scitag can hold, but a registry may contain others.
        const auto encoded = label::encode(other);
        writer.member("hint", fmt::format("looks like a scitag: {}{}", tag_in_words(other, registry),
                                          encoded ? ", its label is " + hex(*encoded) : std::string()));
    }
    writer.end();
    return text;
}

}  // namespace flowd::core::cli
