// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/ownership.hpp"

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

namespace flowd::bpf {
namespace {

/// 0 or an errno.
int bind_handle(int socket, const std::string& role, std::uint32_t handle) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // A leading NUL: no file (unix(7), abstract sockets).
    const int length = std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "flowd-cpp/%s/%08x", role.c_str(),
                                     static_cast<unsigned>(handle));
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(length));
    return ::bind(socket, reinterpret_cast<const sockaddr*>(&address), size) == 0 ? 0 : errno;
}

UniqueFd make_socket() {
    return UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

}  // namespace

Result<Ownership> Ownership::claim(const std::string& role) {
    for (;;) {
        std::uint32_t handle = 0;
        if (::getrandom(&handle, sizeof handle, 0) != sizeof handle)
            return Error::from_errno(errno, "drawing a tc filter handle");
        // Low handles are what people and other programs choose; the highest bit is left alone because tools print it
        // signed.
        handle = (handle & 0x7fffffff) | 0x01000000;
        UniqueFd socket = make_socket();
        if (!socket) return Error::from_errno(errno, "making a Unix socket");
        const int number = bind_handle(socket.get(), role, handle);
        if (number == 0) return Ownership(role, handle, std::move(socket));
        if (number != EADDRINUSE) return Error::from_errno(number, "claiming a tc filter handle");
    }
}

bool Ownership::is_alive(const std::string& role, std::uint32_t handle) {
    const UniqueFd socket = make_socket();
    // In doubt it lives: a leftover can be removed later, a live filter must not be.
    return !socket || bind_handle(socket.get(), role, handle) != 0;
}

}  // namespace flowd::bpf
