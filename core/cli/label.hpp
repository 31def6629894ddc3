// SPDX-License-Identifier: Apache-2.0
// `flowd-cpp label`: tags to flow labels and scitag integers, and back. Pure functions; the results are JSON objects.
#pragma once

#include <string>
#include <string_view>

#include "core/config/registry.hpp"
#include "flowd/result.hpp"

namespace flowd::core::cli {

/// Each by id or by name of the registry. `all`: also the 32 labels that the entropy bits allow.
/// FLOWD_INVALID: no such name, or more than the label's 9 and 6 bits hold.
[[nodiscard]] Result<std::string> encode_label(std::string_view experiment, std::string_view activity, bool all,
                                               const Registry& registry);

/// `value`: decimal or 0x hexadecimal; a flow label, or a scitag integer when `is_scitag`. If the value looks like the
/// other of the two, "hint", or the hint of the error, says so.
[[nodiscard]] Result<std::string> decode_label(std::string_view value, bool is_scitag, const Registry& registry);

}  // namespace flowd::core::cli
