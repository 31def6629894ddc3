// SPDX-License-Identifier: Apache-2.0
// Reads what a module declares about itself: sized structs are copied, never trusted. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/modules/module.hpp"
#include "flowd/abi/module.h"
#include "flowd/result.hpp"

namespace flowd::core {

/// A copy of one component. The error is one sentence that names component and member:
/// "plugin 'x': member 'create' is missing". `abi_minor` is the module's: what a later minor may have given a meaning
/// to is not held against it.
[[nodiscard]] Result<std::unique_ptr<Component>> read_component(const flowd_component* declared, std::uint32_t abi_minor);

/// A copy of a module's descriptor and of all its components, which may not repeat a kind and name. Components of a kind
/// that a later minor added are passed over.
[[nodiscard]] Result<Descriptor> read_descriptor(const flowd_module* declared);

/// Whether the note tells the same as the descriptor: name, version, ABI, components and aliases.
[[nodiscard]] Result<void> compare_with_note(const Descriptor& descriptor, const Note& note);

}  // namespace flowd::core
