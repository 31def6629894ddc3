// SPDX-License-Identifier: Apache-2.0
#include "core/modules/outcome.hpp"

#include <string_view>

namespace flowd::core {
namespace {

std::string_view words_of(flowd_result result) {
    switch (result) {
        case FLOWD_OK:
            return "it succeeded";
        case FLOWD_STOPPED:
            return "it was stopped";
        case FLOWD_FULL:
            return "it was full";
        case FLOWD_INVALID:
            return "an invalid value";
        case FLOWD_UNSUPPORTED:
            return "not supported here";
        case FLOWD_NOT_FOUND:
            return "something does not exist";
        case FLOWD_DENIED:
            return "a privilege is missing";
        case FLOWD_BUSY:
            return "something is in use by another process or instance";
        case FLOWD_LIMIT:
            return "a limit was reached";
        case FLOWD_EXCEPTION:
            return "an exception in the module";
        case FLOWD_NO_MEMORY:
            return "out of memory";
        default:
            return "an unspecified failure";
    }
}

}  // namespace

bool means_something(flowd_result result) {
    return result >= FLOWD_STOPPED && result <= FLOWD_OK;
}

std::string describe_failure(const char* call, flowd_result result) {
    std::string text = std::string(call) + " failed: ";
    if (means_something(result)) return text.append(words_of(result));
    return text + "it returned " + std::to_string(result) + ", which is not a defined result";
}

}  // namespace flowd::core
