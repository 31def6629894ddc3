// SPDX-License-Identifier: Apache-2.0
// The exception barrier: functions that a module calls must not throw, because the module may be written in C. Any thread.
#pragma once

#include <new>
#include <type_traits>

#include "flowd/abi/base.h"

namespace flowd::core {

/// Runs `call`. An exception becomes a result code, if `call` returns one.
template <typename Call>
auto guarded(const Call& call) noexcept -> decltype(call()) {
    try {
        return call();
    } catch (const std::bad_alloc&) {
        if constexpr (std::is_same_v<decltype(call()), flowd_result>) return FLOWD_NO_MEMORY;
    } catch (...) {
        if constexpr (std::is_same_v<decltype(call()), flowd_result>) return FLOWD_EXCEPTION;
    }
    if constexpr (!std::is_void_v<decltype(call())>) return {};
}

}  // namespace flowd::core
