// SPDX-License-Identifier: Apache-2.0
// flowd/detail/guarded.hpp: the exception barrier. No C++ exception may leave a callback that the core calls.
#pragma once

#include <exception>
#include <string>

#include "flowd/abi/host.h"
#include "flowd/sized.hpp"

namespace flowd {

namespace detail {

/// Text of the exception that is being handled.
inline std::string current_exception_text() {
    try {
        throw;
    } catch (const std::exception& error) {
        return error.what();
    } catch (...) {
        return "an exception that is not a std::exception";
    }
}

/// Runs `work`. An exception is logged with the instance's name and does not propagate. True if there was none.
template <typename Work>
bool guarded(const flowd_host* host, const char* what, Work&& work) noexcept {
    try {
        work();
        return true;
    } catch (...) {
        try {
            const auto api = copy_sized<flowd_host>(host);  // a core that lacks services may call create
            if (api.log == nullptr || api.instance == nullptr) return false;
            const std::string text = std::string(api.instance) + ": " + what + " threw: " + current_exception_text();
            api.log(host, FLOWD_LEVEL_ERROR, to_c(text));
        } catch (...) {  // no memory for the text
        }
        return false;
    }
}

}  // namespace detail

}  // namespace flowd
