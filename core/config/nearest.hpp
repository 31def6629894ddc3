// SPDX-License-Identifier: Apache-2.0
// "Did you mean ...?" Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace flowd::core {

/// The number of insertions, deletions, replacements and transpositions that lead from a to b (optimal string alignment),
/// case-insensitive.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate most similar to `word`; empty if none is similar: a third of the letters may differ, or one may be a part
/// of the other.
[[nodiscard]] std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates);

/// "a, b or c"
[[nodiscard]] std::string join_words(const std::vector<std::string>& words, std::string_view last = "or");

/// ASCII only: what keys and registry names are made of.
[[nodiscard]] std::string lower_case(std::string_view text);

}  // namespace flowd::core
