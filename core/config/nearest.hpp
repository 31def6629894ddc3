// SPDX-License-Identifier: Apache-2.0
// Suggestions for misspelled words. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace flowd::core {

/// The number of insertions, deletions, replacements and transpositions that turn a into b (optimal string alignment),
/// case-insensitive.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate most similar to `word`; empty if none is similar: up to a third of the letters may differ, or one is a
/// substring of the other.
[[nodiscard]] std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates);

/// "a, b or c"
[[nodiscard]] std::string join_words(const std::vector<std::string>& words, std::string_view last = "or");

/// ASCII only, which is sufficient for keys and names of the registry.
[[nodiscard]] std::string lower_case(std::string_view text);

}  // namespace flowd::core
