// SPDX-License-Identifier: Apache-2.0
// Tags in words, and numbers that stand for a tag. Pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "core/config/registry.hpp"
#include "flowd/abi/base.h"

namespace flowd::core {

/// "experiment cms (3), activity Analysis Input (14)"; numbers alone for what the registry does not know.
[[nodiscard]] std::string tag_in_words(flowd_tag tag, const Registry& registry);

/// For a number that was written as an experiment or activity: "206 is a scitag: experiment cms (3), activity Analysis
/// Input (14)", when it is the scitag or the flow label of a registered tag. Empty otherwise.
[[nodiscard]] std::string tag_meant_by(std::int64_t number, const Registry& registry);

}  // namespace flowd::core
