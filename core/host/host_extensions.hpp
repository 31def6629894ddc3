// SPDX-License-Identifier: Apache-2.0
// The extensions that the core offers to every instance: flowd.registry/1, flowd.flows/1, flowd.descriptors/1. Any thread.
#pragma once

namespace flowd::core {

/// The table of an extension, or null. Static.
[[nodiscard]] const void* core_extension(const char* id);

}  // namespace flowd::core
