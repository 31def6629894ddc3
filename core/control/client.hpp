// SPDX-License-Identifier: Apache-2.0
// The client of the control socket, for the command line. Any thread; blocks.
#pragma once

#include <chrono>
#include <string>

#include "core/control/protocol.hpp"
#include "flowd/result.hpp"

namespace flowd::core::control {

/// Sends one request and waits for its reply. Errors: FLOWD_NOT_FOUND when no daemon listens at `path`, FLOWD_DENIED
/// when the caller has no permission, FLOWD_ERROR when it does not reply within `timeout` or closes the connection early.
[[nodiscard]] Result<Reply> request(const std::string& path, const Arguments& arguments,
                                    std::chrono::milliseconds timeout = std::chrono::seconds(35));

}  // namespace flowd::core::control
