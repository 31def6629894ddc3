// SPDX-License-Identifier: Apache-2.0
// core/flows/sized.hpp: flowd/sized.hpp for structs from modules: checks the size member of a struct
// first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "flowd/sized.hpp"

namespace flowd::core {

/// False if the size of the struct is less than `least` or more than the available space.
template <typename Struct>
bool copy_sized_within(const void* data, std::size_t place, std::size_t least, Struct& own) {
    std::uint32_t size = 0;
    static_assert(offsetof(Struct, size) == 0 && sizeof own.size == sizeof size);
    std::memcpy(&size, data, sizeof size);
    if (size < least || size > place) return false;
    if (size >= sizeof own)
        std::memcpy(&own, data, sizeof own);  // of a constant size, and no copy of a copy: every event passes here
    else
        own = flowd::copy_sized<Struct>(data);
    own.size = sizeof own;
    return true;
}

}  // namespace flowd::core
