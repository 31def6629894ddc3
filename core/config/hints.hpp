// SPDX-License-Identifier: Apache-2.0
// Frequent mistakes in configurations, and their corrections. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/config/node.hpp"
#include "core/config/option.hpp"
#include "core/config/problem.hpp"

namespace flowd::core {

/// A host name (letters, digits, hyphens, underscores and dots: RFC 1123 section 2.1, and what resolvers accept), or an
/// address.
[[nodiscard]] bool is_host(std::string_view text);

/// Whether the text contains "${NAME}".
[[nodiscard]] bool names_variable(std::string_view text);

/// The correction of `node`, which is not valid for the option: "host:port" for an address, a list for a single value
/// or the reverse, a variable. `siblings`: the table that contains the option, or the list of which it is the item. Empty
/// if no correction is known.
[[nodiscard]] std::string hint_for(const Option& option, const YamlNode& node, const OptionTable& siblings);

/// The problem for the sample configuration of the SciTags how-to ("settings" with "flow_map_api", "firefly" with
/// "collector_host"), which no daemon reads: its equivalent. Removes its keys, so that they are not reported as well.
[[nodiscard]] std::optional<Problem> take_how_to_sample(YamlNode& root);

}  // namespace flowd::core
