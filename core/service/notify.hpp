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

/// Never waits: libsystemd's sd_notify() blocks while the queue of the socket is full. A message that does not fit is
/// kept, and a later one about the same takes its place.
class Notifier {
  public:
    Notifier();

    void ready(const std::string& status);
    void reloading();
    void stopping();
    void status(const std::string& text);
    void alive();
    /// Keeps a descriptor over a crash or a restart; `name` in any form, see encode_fdname.
    void store(const std::string& name, int fd);
    void forget(const std::string& name);

    /// Sends what did not fit before. Call it at least once a second. Returns how many messages still wait.
    std::size_t flush();

    /// How often alive() is wanted: half of WATCHDOG_USEC; nothing when no watchdog watches this process.
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

    std::string path_;  ///< of NOTIFY_SOCKET; empty: no notifications
    UniqueFd socket_;
    std::mutex mutex_;  ///< guards the members below
    std::deque<Message> waiting_;
};

}  // namespace flowd::core
