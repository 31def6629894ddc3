// SPDX-License-Identifier: Apache-2.0
// What the service manager is told (sd_notify(3)). Does nothing without NOTIFY_SOCKET. Any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace flowd::core {

class Notifier {
  public:
    void ready(const std::string& status) const;
    void reloading() const;
    void stopping() const;
    void status(const std::string& text) const;
    void alive() const;
    /// Keeps a descriptor over a crash or a restart; `name` in any form, see encode_fdname.
    void store(const std::string& name, int fd) const;
    void forget(const std::string& name) const;

    /// How often alive() is wanted: half of WATCHDOG_USEC; nothing when no watchdog watches this process.
    [[nodiscard]] static std::optional<std::chrono::microseconds> watchdog_interval();
};

}  // namespace flowd::core
