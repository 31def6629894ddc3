// SPDX-License-Identifier: Apache-2.0
// lib/firefly/json_text.hpp: private to lib/firefly; compact JSON text of a parsed value.
#pragma once

#include <simdjson.h>

#include <string>

namespace flowd::firefly {

/// Appends the value as compact JSON. Numbers keep their type: a float stays a float.
void append_json(std::string& out, simdjson::dom::element value);

}  // namespace flowd::firefly
