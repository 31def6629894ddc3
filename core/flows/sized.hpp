// SPDX-License-Identifier: Apache-2.0
// core/flows/sized.hpp: reading structs that a module of another minor has written (flowd/abi/base.h, second law).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace flowd::core {

/// Zeroes, then as much as both sides have. False when it is shorter than `least` or longer than its place.
template <typename Struct>
bool copy_sized(const void* data, std::size_t place, std::size_t least, Struct& own) {
    std::uint32_t size = 0;
    static_assert(offsetof(Struct, size) == 0 && sizeof own.size == sizeof size);
    std::memcpy(&size, data, sizeof size);
    if (size < least || size > place) return false;
    if (size >= sizeof own) {
        std::memcpy(&own, data, sizeof own);
    } else {
        std::memset(&own, 0, sizeof own);
        std::memcpy(&own, data, size);
    }
    own.size = sizeof own;
    return true;
}

}  // namespace flowd::core
