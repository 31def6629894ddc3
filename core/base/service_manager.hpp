// SPDX-License-Identifier: Apache-2.0
// What systemd passes to a service in its environment: sd_listen_fds(3), sd_watchdog_enabled(3), sd_booted(3). The same as
// the functions of libsystemd, which brings six more libraries (compression, encryption) into each start. Main thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flowd/unique_fd.hpp"

namespace flowd::core {

/// The descriptors that were passed (LISTEN_PID, LISTEN_FDS), with their names (LISTEN_FDNAMES). Unsets these variables.
[[nodiscard]] std::vector<std::pair<std::string, UniqueFd>> passed_descriptors();

/// After this time without a notification the service is restarted (WATCHDOG_PID, WATCHDOG_USEC). Empty: it is not watched.
[[nodiscard]] std::optional<std::chrono::microseconds> watchdog_timeout();

/// Whether systemd is the service manager of this host.
[[nodiscard]] bool is_systemd_there();

}  // namespace flowd::core
