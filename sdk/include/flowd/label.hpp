// SPDX-License-Identifier: Apache-2.0
// flowd/label.hpp: tags in an IPv6 flow label and in a scitag integer. Pure functions.
// Source: draft-cc-v6ops-wlcg-flow-label-marking-03; layout, most significant bit first: EE CCCCCCCCC E AAAAAA EE
// (E entropy, C experiment with its bits reversed, A activity).
#pragma once

#include <cstdint>
#include <optional>

#include "flowd/abi/base.h"

namespace flowd::label {

inline constexpr std::uint32_t mask = 0xfffff;           ///< the 20 bits of a flow label, RFC 6437
inline constexpr std::uint32_t semantic_mask = 0x3fefc;  ///< bits that carry the tag
inline constexpr std::uint32_t entropy_mask = 0xc0103;   ///< bits that differ between flows of one tag
inline constexpr std::uint32_t max_experiment = 511;
inline constexpr std::uint32_t max_activity = 63;

[[nodiscard]] constexpr std::uint32_t reverse_experiment(std::uint32_t experiment) {
    std::uint32_t reversed = 0;
    for (unsigned bit = 0; bit < 9; ++bit) reversed |= (experiment >> bit & 1u) << (8 - bit);
    return reversed;
}

/// The label of a tag, with the entropy bits of `entropy`; empty if the tag does not fit into the label.
[[nodiscard]] constexpr std::optional<std::uint32_t> encode(flowd_tag tag, std::uint32_t entropy = 0) {
    if (tag.experiment > max_experiment || tag.activity > max_activity) return std::nullopt;
    return reverse_experiment(tag.experiment) << 9 | tag.activity << 2 | (entropy & entropy_mask);
}

[[nodiscard]] constexpr flowd_tag decode(std::uint32_t label) {
    return {reverse_experiment(label >> 9 & 511u), label >> 2 & 63u};
}

/// The scitag integer, as in HTTP's SciTag header and XRootD's scitag.flow.
[[nodiscard]] constexpr std::uint32_t scitag(flowd_tag tag) {
    return tag.experiment << 6 | tag.activity;
}
[[nodiscard]] constexpr flowd_tag from_scitag(std::uint32_t scitag) {
    return {scitag >> 6, scitag & 63u};
}

}  // namespace flowd::label
