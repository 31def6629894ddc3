// SPDX-License-Identifier: Apache-2.0
// Reading what a module passes: structs by their own size, arrays by their stride, text with its length.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "flowd/abi/base.h"

namespace flowd::core {

/// The core's own copy: members behind the writer's size are zero.
template <typename Struct>
[[nodiscard]] Struct sized_copy(const Struct* from) {
    Struct copy{};
    std::uint32_t size = 0;
    std::memcpy(&size, from, sizeof size);
    std::memcpy(static_cast<void*>(&copy), from, std::min<std::size_t>(size, sizeof copy));
    copy.size = sizeof copy;
    return copy;
}

template <typename Struct>
[[nodiscard]] const Struct* at_stride(const Struct* first, std::size_t index, std::size_t stride) {
    return reinterpret_cast<const Struct*>(reinterpret_cast<const char*>(first) + index * stride);
}

[[nodiscard]] inline std::string_view view_of(flowd_string text) {
    return text.data == nullptr ? std::string_view{} : std::string_view(text.data, text.length);
}
[[nodiscard]] inline std::string text_of(flowd_string text) {
    return std::string(view_of(text));
}
[[nodiscard]] inline flowd_string string_of(std::string_view text) {
    return {text.data(), text.size()};
}

}  // namespace flowd::core
