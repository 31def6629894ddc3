// SPDX-License-Identifier: Apache-2.0
// What people write by mistake, and what they mean by it. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/config/node.hpp"
#include "core/config/option.hpp"
#include "core/config/problem.hpp"

namespace flowd::core {

/// A host name (letters, digits, hyphens, underscores and dots: RFC 1123 section 2.1, and what resolvers take), or an
/// address.
[[nodiscard]] bool is_host(std::string_view text);

/// "${NAME}" somewhere in it.
[[nodiscard]] bool names_variable(std::string_view text);

/// What to write instead of `node`, which the option cannot have: "host:port" where an address belongs, a list where one
/// value belongs and the reverse, a variable. `siblings`: the table that has the option, or the list of it; empty when
/// there is nothing better to say.
[[nodiscard]] std::string hint_for(const Option& option, const YamlNode& node, const OptionTable& siblings);

/// The sample configuration of the SciTags how-to ("settings" with "flow_map_api", "firefly" with "collector_host"), which
/// no daemon reads: what it means. Removes its keys, so that they are not reported as well.
[[nodiscard]] std::optional<Problem> take_how_to_sample(YamlNode& root);

}  // namespace flowd::core
