// SPDX-License-Identifier: Apache-2.0
// flowd/nearest.hpp: suggestions for misspelled words. Pure functions, any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace flowd {

/// ASCII only, which is sufficient for keys, fields and names of the registry.
[[nodiscard]] inline std::string lower_case(std::string_view text) {
    std::string lower(text);
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return lower;
}

/// The number of insertions, deletions, replacements and transpositions that turn a into b (optimal string alignment),
/// case-insensitive.
[[nodiscard]] inline std::size_t edit_distance(std::string_view a, std::string_view b) {
    const std::string x = lower_case(a), y = lower_case(b);
    std::vector<std::size_t> before(y.size() + 1), previous(y.size() + 1), current(y.size() + 1);
    for (std::size_t j = 0; j <= y.size(); ++j) previous[j] = j;
    for (std::size_t i = 1; i <= x.size(); ++i) {
        current[0] = i;
        for (std::size_t j = 1; j <= y.size(); ++j) {
            current[j] = std::min({previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (x[i - 1] == y[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && x[i - 1] == y[j - 2] && x[i - 2] == y[j - 1])
                current[j] = std::min(current[j], before[j - 2] + 1);
        }
        before.swap(previous);
        previous.swap(current);
    }
    return previous[y.size()];
}

/// The candidate most similar to `word`; empty if none is similar: up to a third of the letters may differ, or one is a
/// substring of the other.
[[nodiscard]] inline std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates) {
    constexpr std::size_t longest = 64;  // bounds the cost of hostile input
    if (word.empty() || word.size() > longest) return {};
    const std::string* best = nullptr;
    std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        if (candidate.size() > longest) continue;
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best = &candidate;
            best_distance = distance;
        }
    }
    if (best != nullptr) return *best;
    const std::string lower = lower_case(word);
    for (const std::string& candidate : candidates) {
        const std::string other = lower_case(candidate);
        if (std::min(lower.size(), other.size()) < 4) continue;
        if (other.find(lower) != std::string::npos || lower.find(other) != std::string::npos) return candidate;
    }
    return {};
}

/// "a, b or c"
[[nodiscard]] inline std::string join_words(const std::vector<std::string>& words, std::string_view last = "or") {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0) text += i + 1 == words.size() ? " " + std::string(last) + " " : ", ";
        text += words[i];
    }
    return text;
}

}  // namespace flowd
