// SPDX-License-Identifier: Apache-2.0
#include "lib/http/listening.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "flowd/number.hpp"
#include "lib/net/no_ipv6.hpp"
#include "lib/net/port_owner.hpp"

namespace flowd::http {
namespace {

constexpr int backlog = 1024;  // cut to net.core.somaxconn

[[nodiscard]] Result<sockaddr_un> address_of(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string& text = path.native();
    if (text.size() >= sizeof address.sun_path)
        return Error{FLOWD_INVALID, text + " is too long for the path of a socket: the limit is 107 bytes"};
    std::memcpy(address.sun_path, text.data(), text.size());
    return address;
}

/// Whether a process listens there.
[[nodiscard]] bool is_alive(const sockaddr_un& address) {
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!probe) return true;
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
           errno != ECONNREFUSED;
}

}  // namespace

Result<UniqueFd> listen_tcp(const Endpoint& local) {
    const std::string name = "tcp " + local.to_string();
    const int family = local.address.is_v4() ? AF_INET : AF_INET6;
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    if (!fd) return net::socket_error(errno, "cannot listen at " + name);
    const int one = 1, zero = 0;
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one,
                       sizeof one);  // in spite of connections of a predecessor in TIME_WAIT
    if (family == AF_INET6) (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    sockaddr_storage storage{};
    const socklen_t length = local.to(storage);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0 || ::listen(fd.get(), backlog) != 0) {
        const int number = errno;
        Error error = Error::from_errno(number, "cannot listen at " + name);
        if (number == EADDRINUSE)
            error.hint = net::port_in_use_hint(net::Transport::tcp, local.port);
        else if (number == EINVAL && local.address.is_link_local())
            error.hint = "a link-local address needs an interface, which cannot be given here: take :: or another address";
        else if (number == EADDRNOTAVAIL)
            error.hint = "no interface has this address; see: ip address";
        else if (number == EACCES)
            error.hint = "ports below 1024 need CAP_NET_BIND_SERVICE";
        return error;
    }
    return fd;
}

Result<UniqueFd> listen_unix(const std::filesystem::path& path, mode_t mode) {
    auto address = address_of(path);
    if (!address) return std::move(address).error();
    struct stat there {};
    if (::lstat(path.c_str(), &there) == 0) {
        if (!S_ISSOCK(there.st_mode)) return Error{FLOWD_BUSY, path.string() + " exists and is not a socket", "remove it"};
        if (is_alive(*address))
            return Error{FLOWD_BUSY, "another process listens at " + path.string(),
                         "see which: ss -lxp src " + path.string()};
        (void)::unlink(path.c_str());
    }
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return Error::from_errno(errno, "creating a Unix socket");
    // No client can connect before listen(): the permissions apply to all.
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
        ::chmod(path.c_str(), mode) != 0 || ::listen(fd.get(), backlog) != 0)
        return Error::from_errno(errno, "cannot listen at " + path.string());
    return fd;
}

std::optional<mode_t> mode_of(std::string_view text) {
    const auto bits = whole_number<mode_t>(text, 8);
    return bits && *bits <= 0777 ? bits : std::nullopt;
}

Result<UniqueFd> listen_again(UniqueFd fd) {
    int listens = 0;
    socklen_t length = sizeof listens;
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 || ::getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || listens == 0)
        return Error{FLOWD_INVALID, "a descriptor that was handed over is not a listening socket"};
    if (::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0)
        return Error::from_errno(errno, "a descriptor that was handed over");
    return fd;
}

Endpoint local_endpoint(int fd) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
    return Endpoint::from(storage).value_or(Endpoint{});
}

}  // namespace flowd::http
