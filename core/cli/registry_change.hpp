// SPDX-License-Identifier: Apache-2.0
// The changes of a registry update, and whether it is acceptable. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/config/registry.hpp"
#include "flowd/abi/base.h"
#include "flowd/result.hpp"

namespace flowd::core::cli {

/// A change of an experiment, or of one of its activities.
struct RegistryChange {
    std::string_view kind;  ///< added, removed or renamed
    flowd_tag tag{};
    bool is_activity = false;
    std::string before, after;  ///< names; empty: did not or does not exist
};

/// Ordered by experiment id; each experiment precedes its activities.
[[nodiscard]] std::vector<RegistryChange> changes_between(const Registry& before, const Registry& after);

/// FLOWD_INVALID: it is empty, an id is 0 or does not fit a flow label, or a name occurs twice.
[[nodiscard]] Result<void> check_registry(const Registry& registry);

}  // namespace flowd::core::cli
