// SPDX-License-Identifier: Apache-2.0
// lib/firefly/json_text.hpp: private to lib/firefly; compact JSON text of a parsed value, and the rule for block names.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

namespace flowd::firefly {

/// Appends the value as compact JSON. Numbers keep their type: a float stays a float.
void append_json(std::string& out, simdjson::dom::element value);

/// Whether a top-level member of this name travels as a block: not part of the core, 1 to 64 bytes of visible ASCII that
/// need no escape.
[[nodiscard]] bool is_block_name(std::string_view name);

}  // namespace flowd::firefly
