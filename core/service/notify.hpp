// SPDX-License-Identifier: Apache-2.0
// Notifications of the service manager (sd_notify(3)). No effect without NOTIFY_SOCKET. Any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "flowd/unique_fd.hpp"

namespace flowd::core {

/// Never blocks: libsystemd's sd_notify() blocks while the queue of the socket is full. A message that does not fit is
/// kept, and a later one on the same subject replaces it.
class Notifier {
  public:
    Notifier();

    void ready(const std::string& status);
    void reloading();
    void stopping();
    void status(const std::string& text);
    void alive();
    /// Has the service manager keep a descriptor over a crash or a restart. `name`: any text, see encode_fdname.
    void store(const std::string& name, int fd);
    void forget(const std::string& name);

    /// Sends messages that did not fit before. Call it at least once a second. Returns the number of remaining ones.
    std::size_t flush();

    /// Interval for alive(): half of WATCHDOG_USEC; empty if this process has no watchdog.
    [[nodiscard]] static std::optional<std::chrono::microseconds> watchdog_interval();

  private:
    struct Message {
        std::string subject;
        std::string text;
        UniqueFd fd;
    };

    void tell(Message message);
    void send_waiting();
    [[nodiscard]] bool send(const Message& message) const;

    std::string path_;  ///< value of NOTIFY_SOCKET; empty: no notifications
    UniqueFd socket_;
    std::mutex mutex_;  ///< guards the members below
    std::deque<Message> waiting_;
};

}  // namespace flowd::core
