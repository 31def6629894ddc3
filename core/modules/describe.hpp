// SPDX-License-Identifier: Apache-2.0
// The output of `modules list` and `modules info` as JSON (stable: members are added, never changed). Any thread.
#pragma once

#include <cstdint>
#include <string>

#include "core/modules/module_set.hpp"

namespace flowd::core {

/// [{"module","state","version","abi","components":"plugin x, backend y","reason","path"}]: flat, for a table.
[[nodiscard]] std::string describe_modules(const ModuleSet& set);

/// {"module","path","state","reason","hint","version","license","abi","components":[{"kind","name","aliases","summary",
/// "loop","options":[{"name","type","default","required","doc",...,"fields":[...]}]}]}. Options only of a loaded module.
[[nodiscard]] std::string describe_module(const Module& module);

/// "meter", "rule", "explicit", or the number.
[[nodiscard]] std::string precedence_name(std::uint32_t precedence);

}  // namespace flowd::core
