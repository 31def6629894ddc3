// SPDX-License-Identifier: Apache-2.0
#include "core/service/notify.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "core/host/descriptors.hpp"

namespace flowd::core {

namespace {

constexpr std::size_t max_waiting = 256;  // one per kept descriptor; a host has a few of them

/// A notification consists of lines; a status must be one line.
std::string one_line(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
}

}  // namespace

Notifier::Notifier() {
    const char* path = std::getenv("NOTIFY_SOCKET");
    if (path == nullptr || (*path != '/' && *path != '@') || std::strlen(path) >= sizeof sockaddr_un{}.sun_path) return;
    path_ = path;
    socket_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

void Notifier::ready(const std::string& status) {
    tell({"ready", "READY=1\nSTATUS=" + one_line(status), {}});
}

void Notifier::reloading() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();  // CLOCK_MONOTONIC
    tell({"reloading",
          fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading",
                      std::chrono::duration_cast<std::chrono::microseconds>(now).count()),
          {}});
}

void Notifier::stopping() {
    tell({"stopping", "STOPPING=1\nSTATUS=stopping", {}});
}

void Notifier::status(const std::string& text) {
    tell({"status", "STATUS=" + one_line(text), {}});
}

void Notifier::alive() {
    tell({"alive", "WATCHDOG=1", {}});
}

void Notifier::store(const std::string& name, int fd) {
    auto copy = UniqueFd::duplicate(fd);
    if (copy) tell({"store " + name, "FDSTORE=1\nFDNAME=" + encode_fdname(name), std::move(*copy)});
}

void Notifier::forget(const std::string& name) {
    tell({"forget " + name, "FDSTOREREMOVE=1\nFDNAME=" + encode_fdname(name), {}});
}

std::size_t Notifier::flush() {
    const std::lock_guard lock(mutex_);
    send_waiting();
    return waiting_.size();
}

void Notifier::tell(Message message) {
    if (!socket_) return;
    const std::lock_guard lock(mutex_);
    waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(),
                                  [&](const Message& earlier) { return earlier.subject == message.subject; }),
                   waiting_.end());
    if (waiting_.size() == max_waiting) waiting_.pop_front();
    waiting_.push_back(std::move(message));
    send_waiting();
}

void Notifier::send_waiting() {
    while (!waiting_.empty() && send(waiting_.front())) waiting_.pop_front();
}

/// False: the queue of the socket is full.
bool Notifier::send(const Message& message) const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    iovec text{const_cast<char*>(message.text.data()), message.text.size()};  // NOLINT: sendmsg(2) only reads it
    msghdr header{};
    header.msg_name = &address;
    header.msg_namelen = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
    header.msg_iov = &text;
    header.msg_iovlen = 1;
    alignas(cmsghdr) std::byte control[CMSG_SPACE(sizeof(int))] = {};
    if (const int fd = message.fd.get(); fd >= 0) {
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        cmsghdr* const passed = CMSG_FIRSTHDR(&header);
        passed->cmsg_level = SOL_SOCKET;
        passed->cmsg_type = SCM_RIGHTS;
        passed->cmsg_len = CMSG_LEN(sizeof fd);
        std::memcpy(CMSG_DATA(passed), &fd, sizeof fd);
    }
    for (;;) {
        if (::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
        if (errno != EINTR) return errno != EAGAIN && errno != ENOBUFS;
    }
}

std::optional<std::chrono::microseconds> Notifier::watchdog_interval() {
    std::uint64_t microseconds = 0;
    if (::sd_watchdog_enabled(0, &microseconds) <= 0) return std::nullopt;
    return std::chrono::microseconds(microseconds / 2);
}

}  // namespace flowd::core
