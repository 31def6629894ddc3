// SPDX-License-Identifier: Apache-2.0
#include "core/config/tag_text.hpp"

#include <fmt/format.h>

#include "flowd/label.hpp"

namespace flowd::core {
namespace {

std::string with_id(std::uint32_t id, std::string_view name) {
    return name.empty() ? std::to_string(id) : std::string(name) + " (" + std::to_string(id) + ")";
}

}  // namespace

std::string tag_in_words(flowd_tag tag, const Registry& registry) {
    return "experiment " + with_id(tag.experiment, registry.experiment_name(tag.experiment)) + ", activity " +
           with_id(tag.activity, registry.activity_name(tag.experiment, tag.activity));
}

bool is_unregistered(flowd_tag tag, const Registry& registry) {
    return (tag.experiment != 0 || tag.activity != 0) && !registry.experiments().empty() &&
           registry.activity_name(tag.experiment, tag.activity).empty();
}

std::string label_text(std::uint32_t label) {
    return fmt::format("0x{:05x}", label);
}

std::string tag_meant_by(std::int64_t number, const Registry& registry) {
    if (number < 0 || number > label::mask) return {};
    const auto value = static_cast<std::uint32_t>(number);
    for (const auto& [what, tag] :
         {std::pair("a scitag", label::from_scitag(value)), {"a flow label", label::decode(value)}})
        if (tag.experiment != 0 && !registry.activity_name(tag.experiment, tag.activity).empty())
            return std::to_string(number) + " is " + what + ": " + tag_in_words(tag, registry);
    return {};
}

}  // namespace flowd::core
