// SPDX-License-Identifier: Apache-2.0
// The dynamic symbols of a module that is already loaded, and so is believed to be well-formed. One thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "flowd/result.hpp"

namespace flowd::check {

struct Symbols {
    std::vector<std::string> exported;    ///< defined and visible to other objects
    std::vector<std::string> unresolved;  ///< needed, and in none of the libraries that the module itself names
};

[[nodiscard]] Result<Symbols> symbols_of(const std::filesystem::path& loaded);

}  // namespace flowd::check
