// SPDX-License-Identifier: Apache-2.0
// Tags as text, and numbers that encode a tag. Pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "core/config/registry.hpp"
#include "flowd/abi/base.h"

namespace flowd::core {

/// "experiment cms (3), activity Analysis Input (14)"; ids that are not in the registry have no name.
[[nodiscard]] std::string tag_in_words(flowd_tag tag, const Registry& registry);

/// Whether the registry does not have the tag. 0/0, which means "no valid tag", and every tag with an empty registry: no.
[[nodiscard]] bool is_unregistered(flowd_tag tag, const Registry& registry);

/// "0x30038"
[[nodiscard]] std::string label_text(std::uint32_t label);

/// For a number that was written as an experiment or activity: "206 is a scitag: experiment cms (3), activity Analysis
/// Input (14)", when it is the scitag or the flow label of a registered tag. Empty otherwise.
[[nodiscard]] std::string tag_meant_by(std::int64_t number, const Registry& registry);

}  // namespace flowd::core
