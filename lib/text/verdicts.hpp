// SPDX-License-Identifier: Apache-2.0
// lib/text/verdicts.hpp: what a module says of a flow in `flowd-cpp explain`, defined by one list. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace flowd::text {

struct VerdictText {
    const char* word;
    const char* text;
};

}  // namespace flowd::text

#define FLOWD_VERDICT_NAME(name, word, sentence) name,
#define FLOWD_VERDICT_TEXT(name, word, sentence) ::flowd::text::VerdictText{word, sentence},

/// Defines `enum class Verdict` and text_of() in the namespace around it. `LIST(X)` is X(name, "verdict", "sentence") for
/// each verdict.
#define FLOWD_DEFINE_VERDICTS(LIST)                                                   \
    enum class Verdict : std::uint8_t { LIST(FLOWD_VERDICT_NAME) };                   \
    [[nodiscard]] inline const ::flowd::text::VerdictText& text_of(Verdict verdict) { \
        static constexpr std::array texts{LIST(FLOWD_VERDICT_TEXT)};                  \
        return texts[static_cast<std::size_t>(verdict)];                              \
    }
