// SPDX-License-Identifier: Apache-2.0
// flowd/result.hpp: a value, or an error with its context. Values: not bound to a thread, not thread-safe.
#pragma once

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "flowd/abi/base.h"

namespace flowd {

/// The reason of a failure: the result code of the ABI, and a sentence.
struct Error {
    flowd_result code = FLOWD_ERROR;
    std::string message;
    std::string hint = {};
    std::string option = {};  ///< the option that caused it, "targetInterfaces[1]"; may be empty

    /// "context: message". Each layer that knows more adds its context.
    [[nodiscard]] Error within(std::string_view context) && {
        message.insert(0, std::string(context) + ": ");
        return std::move(*this);
    }

    /// From errno, with the corresponding code.
    [[nodiscard]] static Error from_errno(int number, std::string_view what) {
        flowd_result code = FLOWD_ERROR;
        switch (number) {
            case EPERM:
            case EACCES:
                code = FLOWD_DENIED;
                break;
            case ENOENT:
            case ENODEV:
            case ENXIO:
            case EADDRNOTAVAIL:
                code = FLOWD_NOT_FOUND;
                break;
            case EADDRINUSE:
            case EEXIST:
            case EBUSY:
                code = FLOWD_BUSY;
                break;
            case EINVAL:
                code = FLOWD_INVALID;
                break;
            case ENOSYS:
            case EOPNOTSUPP:
                code = FLOWD_UNSUPPORTED;
                break;
            case ENOMEM:
                code = FLOWD_NO_MEMORY;
                break;
            default:
                break;
        }
        return Error{code, std::string(what) + ": " + std::strerror(number)};
    }
};

/// A T, or an Error. `if (!result) return std::move(result).error();`
template <typename T>
class [[nodiscard]] Result {
  public:
    Result(T content) : state_(std::in_place_index<0>, std::move(content)) {}  // NOLINT: implicit on purpose
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

    [[nodiscard]] bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    [[nodiscard]] T& value() & { return std::get<0>(state_); }
    [[nodiscard]] const T& value() const& { return std::get<0>(state_); }
    [[nodiscard]] T&& value() && { return std::get<0>(std::move(state_)); }
    [[nodiscard]] T& operator*() & { return value(); }
    [[nodiscard]] const T& operator*() const& { return value(); }
    [[nodiscard]] T&& operator*() && { return std::move(*this).value(); }
    [[nodiscard]] T* operator->() { return &value(); }
    [[nodiscard]] const T* operator->() const { return &value(); }

    [[nodiscard]] const Error& error() const& { return std::get<1>(state_); }
    [[nodiscard]] Error&& error() && { return std::get<1>(std::move(state_)); }

  private:
    std::variant<T, Error> state_;
};

/// Nothing, or an Error.
template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

    [[nodiscard]] bool ok() const { return !error_.has_value(); }
    explicit operator bool() const { return ok(); }
    [[nodiscard]] const Error& error() const& { return *error_; }
    [[nodiscard]] Error&& error() && { return std::move(*error_); }

  private:
    std::optional<Error> error_;
};

}  // namespace flowd
