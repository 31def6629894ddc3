// SPDX-License-Identifier: Apache-2.0
#include "plugins/perfsonar/own_sockets.hpp"

#include <dirent.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

namespace flowd::perfsonar {
namespace {

struct DirectoryCloser {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

template <typename T>
std::optional<T> option_of(int fd, int name) {
    T value{};
    socklen_t size = sizeof value;
    if (::getsockopt(fd, SOL_SOCKET, name, &value, &size) != 0) return std::nullopt;
    return value;
}

bool is_internet(int fd) {
    const auto domain = option_of<int>(fd, SO_DOMAIN);  // fails for what is no socket
    return domain == AF_INET || domain == AF_INET6;
}

}  // namespace

void OwnSockets::refresh() {
    const std::unique_ptr<DIR, DirectoryCloser> directory(::opendir("/proc/self/fd"));
    if (!directory) return;
    cookies_.clear();
    listeners_.clear();
    while (const dirent* const entry = ::readdir(directory.get())) {
        int fd = -1;
        const char* const end = entry->d_name + std::strlen(entry->d_name);
        if (std::from_chars(entry->d_name, end, fd).ptr != end || fd < 0) continue;  // "." and ".."
        // Another thread may close it meanwhile, or open another: then this is an answer about that one, or none.
        if (!is_internet(fd)) continue;
        if (const auto cookie = option_of<std::uint64_t>(fd, SO_COOKIE)) cookies_.insert(*cookie);
        if (option_of<int>(fd, SO_ACCEPTCONN).value_or(0) == 0) continue;
        sockaddr_storage bound{};
        socklen_t size = sizeof bound;
        if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) continue;
        if (const auto endpoint = Endpoint::from(bound)) listeners_.push_back(*endpoint);
    }
}

bool OwnSockets::listens_on(const Endpoint& local) const {
    return std::any_of(listeners_.begin(), listeners_.end(), [&](const Endpoint& listener) {
        if (listener.port != local.port) return false;
        if (listener.address == local.address) return true;
        // "::" may take IPv4 as well, 0.0.0.0 never takes IPv6.
        return listener.address.is_unspecified() && (!listener.address.is_v4() || local.address.is_v4());
    });
}

}  // namespace flowd::perfsonar
