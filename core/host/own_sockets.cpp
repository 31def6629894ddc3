// SPDX-License-Identifier: Apache-2.0
#include "core/host/own_sockets.hpp"

#include <dirent.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "flowd/address.hpp"
#include "flowd/number.hpp"

namespace flowd::core {

namespace {

struct DirectoryCloser {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

template <typename T>
T option_of(int fd, int name, T without) {
    T value{};
    socklen_t size = sizeof value;
    return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : without;
}

using NameCall = int (*)(int, sockaddr*, socklen_t*);

void fill(NameCall call, int fd, std::uint8_t (&address)[16], std::uint16_t& port) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (call(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return;
    const auto endpoint = Endpoint::from(storage);
    if (!endpoint) return;
    port = endpoint->port;
    // 0.0.0.0 is not an IPv6 address, and must be distinguished from [::], which may accept both.
    if (port != 0 || !endpoint->address.is_unspecified())
        std::copy(endpoint->address.bytes().begin(), endpoint->address.bytes().end(), address);
}

/// Another thread may close `fd` meanwhile, or reuse its number: then the result is about that descriptor, or empty.
std::optional<flowd_socket> look_at(int fd) {
    const int domain = option_of(fd, SO_DOMAIN, -1);  // fails if it is not a socket
    if (domain != AF_INET && domain != AF_INET6) return std::nullopt;
    flowd_socket socket{};
    socket.size = sizeof socket;
    socket.protocol = static_cast<std::uint8_t>(option_of(fd, SO_PROTOCOL, 0));
    socket.cookie = option_of<std::uint64_t>(fd, SO_COOKIE, 0);
    if (option_of(fd, SO_ACCEPTCONN, 0) != 0) socket.flags = FLOWD_SOCKET_LISTENS;
    fill(&::getsockname, fd, socket.local, socket.local_port);
    fill(&::getpeername, fd, socket.remote, socket.remote_port);
    // For raw sockets, the kernel reports the protocol as the port: raw(7).
    if (option_of(fd, SO_TYPE, 0) == SOCK_RAW) socket.local_port = socket.remote_port = 0;
    return socket;
}

std::vector<flowd_socket> look() {
    std::vector<flowd_socket> found;
    const std::unique_ptr<DIR, DirectoryCloser> directory(::opendir("/proc/self/fd"));
    if (!directory) return found;
    while (const dirent* const entry = ::readdir(directory.get())) {
        const auto fd = whole_number<int>(entry->d_name);
        if (!fd) continue;  // "." and ".."
        if (const auto socket = look_at(*fd)) found.push_back(*socket);
    }
    return found;
}

}  // namespace

std::shared_ptr<const std::vector<flowd_socket>> OwnSockets::list(std::chrono::nanoseconds max_age, Clock::time_point now) {
    const std::lock_guard lock(mutex_);
    if (!looked_ ||
        now - *looked_ >= max_age) {  // the result of another thread, for which this call waited, is newer than `now`
        sockets_ = std::make_shared<const std::vector<flowd_socket>>(look());
        looked_ = now;
    }
    return sockets_;
}

}  // namespace flowd::core
