// SPDX-License-Identifier: Apache-2.0
// What an update of the registry changes, and whether it may. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/config/registry.hpp"
#include "flowd/abi/base.h"
#include "flowd/result.hpp"

namespace flowd::core::cli {

/// Of an experiment, or of one of its activities.
struct RegistryChange {
    std::string_view kind;  ///< added, removed or renamed
    flowd_tag tag{};
    bool is_activity = false;
    std::string before, after;  ///< names; empty: there was or is none
};

/// Experiments in the order of their ids, each followed by its activities.
[[nodiscard]] std::vector<RegistryChange> changes_between(const Registry& before, const Registry& after);

/// FLOWD_INVALID: it is empty, an id does not fit a flow label or is 0, or a name occurs twice.
[[nodiscard]] Result<void> check_registry(const Registry& registry);

}  // namespace flowd::core::cli
