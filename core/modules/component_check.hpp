// SPDX-License-Identifier: Apache-2.0
// Reads the declarations of a module: sized structs are copied and validated. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/modules/module.hpp"
#include "flowd/abi/module.h"
#include "flowd/result.hpp"

namespace flowd::core {

/// A copy of one component. The error is one sentence that names component and member:
/// "plugin 'x': member 'create' is missing". `abi_minor` is that of the module: members and bits that a later minor may
/// have defined are not an error.
[[nodiscard]] Result<std::unique_ptr<Component>> read_component(const flowd_component* declared, std::uint32_t abi_minor);

/// A copy of a module's descriptor and of all its components. Duplicate pairs of kind and name are refused. Components of
/// a kind that a later minor added are ignored.
[[nodiscard]] Result<Descriptor> read_descriptor(const flowd_module* declared);

/// Whether note and descriptor agree on name, version, ABI, components and aliases.
[[nodiscard]] Result<void> compare_with_note(const Descriptor& descriptor, const Note& note);

}  // namespace flowd::core
