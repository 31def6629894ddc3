// SPDX-License-Identifier: Apache-2.0
#include "core/service/notify.hpp"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>

#include "core/service/descriptors.hpp"

namespace flowd::core {

namespace {

/// A state is lines; a status must stay one of them.
std::string one_line(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
}

}  // namespace

void Notifier::ready(const std::string& status) const {
    (void)::sd_notify(0, ("READY=1\nSTATUS=" + one_line(status)).c_str());
}

void Notifier::reloading() const {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();  // CLOCK_MONOTONIC
    (void)::sd_notify(0, fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading",
                                     std::chrono::duration_cast<std::chrono::microseconds>(now).count())
                             .c_str());
}

void Notifier::stopping() const {
    (void)::sd_notify(0, "STOPPING=1\nSTATUS=stopping");
}

void Notifier::status(const std::string& text) const {
    (void)::sd_notify(0, ("STATUS=" + one_line(text)).c_str());
}

void Notifier::alive() const {
    (void)::sd_notify(0, "WATCHDOG=1");
}

void Notifier::store(const std::string& name, int fd) const {
    (void)::sd_pid_notify_with_fds(0, 0, ("FDSTORE=1\nFDNAME=" + encode_fdname(name)).c_str(), &fd, 1);
}

void Notifier::forget(const std::string& name) const {
    (void)::sd_notify(0, ("FDSTOREREMOVE=1\nFDNAME=" + encode_fdname(name)).c_str());
}

std::optional<std::chrono::microseconds> Notifier::watchdog_interval() {
    std::uint64_t microseconds = 0;
    if (::sd_watchdog_enabled(0, &microseconds) <= 0) return std::nullopt;
    return std::chrono::microseconds(microseconds / 2);
}

}  // namespace flowd::core
