// SPDX-License-Identifier: Apache-2.0
#include "lib/net/udp_socket.hpp"

#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "lib/net/no_ipv6.hpp"
#include "lib/net/port_owner.hpp"

namespace flowd::net {
namespace {

[[nodiscard]] Result<UniqueFd> open_for(const Address& address, const std::string& what) {
    const int family = address.is_v4() ? AF_INET : AF_INET6;
    UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP));
    if (!fd) return socket_error(errno, what);
    return fd;
}

[[nodiscard]] int integer_option(int fd, int level, int name) {
    int value = 0;
    socklen_t length = sizeof value;
    return ::getsockopt(fd, level, name, &value, &length) == 0 ? value : 0;
}

/// The size that the kernel granted; socket(7): it doubles the size and reports the double.
[[nodiscard]] int buffer_of(int fd) {
    return integer_option(fd, SOL_SOCKET, SO_RCVBUF) / 2;
}

void ask_for_buffer(int fd, int bytes) {
    if (bytes <= 0) return;
    // The first may exceed net.core.rmem_max and needs CAP_NET_ADMIN; the second is limited to it, and would reduce a
    // larger buffer that systemd has set.
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0 && buffer_of(fd) < bytes)
        (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

/// Each datagram then carries the number of those dropped before it: ReceiveBatch::drops.
void ask_for_drops(int fd) {
    const int on = 1;
    (void)::setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
}

[[nodiscard]] Result<void> let_others_bind(int fd) {
    const int on = 1;
    if (::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        return Error::from_errno(errno, "setting SO_REUSEPORT");
    return {};
}

[[nodiscard]] std::array<std::uint32_t, SK_MEMINFO_VARS> memory_info(int fd) {
    std::array<std::uint32_t, SK_MEMINFO_VARS> values{};
    socklen_t length = sizeof values;
    if (::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values.data(), &length) != 0) values.fill(0);
    return values;
}

}  // namespace

Result<UdpSocket> UdpSocket::bound(const Endpoint& local, const Binding& binding) {
    auto fd = open_for(local.address, "cannot receive at udp " + local.to_string());
    if (!fd) return std::move(fd).error();
    if (!local.address.is_v4()) {
        const int only = 0;
        (void)::setsockopt(fd->get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    }
    if (binding.reuse_port)
        if (auto shared = let_others_bind(fd->get()); !shared) return std::move(shared).error();
    ask_for_buffer(fd->get(), binding.receive_buffer);
    ask_for_drops(fd->get());
    sockaddr_storage storage{};
    const socklen_t length = local.to(storage);
    if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0) {
        const int number = errno;
        Error error = Error::from_errno(number, "cannot receive at udp " + local.to_string());
        if (number == EADDRINUSE)
            error.hint = port_in_use_hint(Transport::udp, local.port);
        else if (number == EINVAL && local.address.is_link_local())
            error.hint = "a link-local address needs an interface, which cannot be given here: take :: or another address";
        else if (number == EADDRNOTAVAIL)
            error.hint = "no interface has this address; see: ip address";
        else if (number == EACCES)
            error.hint = "ports below 1024 need CAP_NET_BIND_SERVICE";
        return error;
    }
    return UdpSocket(std::move(*fd));
}

Result<UdpSocket> UdpSocket::connected(const Endpoint& peer, std::uint32_t interface) {
    auto fd = open_for(peer.address, "cannot send to udp " + peer.to_string());
    if (!fd) return std::move(fd).error();
    sockaddr_storage storage{};
    const socklen_t length = peer.to(storage);
    if (storage.ss_family == AF_INET6) reinterpret_cast<sockaddr_in6&>(storage).sin6_scope_id = interface;
    // Without it, the kernel does not report that the host does not answer (EHOSTUNREACH), and its datagrams are lost.
    const int on = 1;
    if (peer.address.is_v4())
        (void)::setsockopt(fd->get(), IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    else
        (void)::setsockopt(fd->get(), IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
    if (::connect(fd->get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0)
        return Error::from_errno(errno, "cannot send to udp " + peer.to_string());
    return UdpSocket(std::move(*fd));
}

Result<UdpSocket> UdpSocket::unconnected(const Address& like) {
    auto fd = open_for(like, like.is_v4() ? "cannot send over IPv4" : "cannot send over IPv6");
    if (!fd) return std::move(fd).error();
    return UdpSocket(std::move(*fd));
}

Result<UdpSocket> UdpSocket::adopted(UniqueFd fd, int receive_buffer) {
    const int domain = integer_option(fd.get(), SOL_SOCKET, SO_DOMAIN);
    if (integer_option(fd.get(), SOL_SOCKET, SO_TYPE) != SOCK_DGRAM || (domain != AF_INET && domain != AF_INET6))
        return Error{FLOWD_INVALID, "a descriptor that was handed over is not a UDP socket"};
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0)
        return Error::from_errno(errno, "a descriptor that was handed over");
    ask_for_buffer(fd.get(), receive_buffer);
    ask_for_drops(fd.get());
    return UdpSocket(std::move(fd));
}

Result<void> UdpSocket::share_port() const {
    return let_others_bind(fd_.get());
}

bool UdpSocket::shares_port() const {
    return integer_option(fd_.get(), SOL_SOCKET, SO_REUSEPORT) != 0;
}

Result<void> UdpSocket::steer_by_sender(std::uint32_t sockets) const {
    // Returns the index of a socket. Loads at network are relative to the IP header, of IPv4 or of IPv6.
    constexpr auto network = static_cast<std::uint32_t>(SKF_NET_OFF);
    constexpr std::uint32_t version = network, source4 = network + 12, source6 = network + 8;
    constexpr std::uint32_t golden_ratio = 0x9e3779b1;
    std::array<sock_filter, 19> program{{
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, version),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 2, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, source4),
        BPF_JUMP(BPF_JMP | BPF_JA, 10, 0, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, source6),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, source6 + 4),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, source6 + 8),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, source6 + 12),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, golden_ratio),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, sockets),
        BPF_STMT(BPF_RET | BPF_A, 0),
    }};
    const sock_fprog attached{static_cast<unsigned short>(program.size()), program.data()};
    if (::setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &attached, sizeof attached) != 0)
        return Error::from_errno(errno, "distributing senders over sockets (SO_ATTACH_REUSEPORT_CBPF)");
    return {};
}

Result<Endpoint> UdpSocket::local() const {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    if (::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &length) != 0)
        return Error::from_errno(errno, "getsockname");
    const auto endpoint = Endpoint::from(storage);
    if (!endpoint) return Error{FLOWD_INVALID, "a socket of another family"};
    return *endpoint;
}

int UdpSocket::receive_buffer() const {
    return buffer_of(fd_.get());
}

std::uint32_t UdpSocket::drops() const {
    return memory_info(fd_.get())[SK_MEMINFO_DROPS];
}

std::size_t UdpSocket::queued() const {
    constexpr std::size_t least_size = 512;  // overhead and data of a buffer
    return (memory_info(fd_.get())[SK_MEMINFO_RMEM_ALLOC] + least_size - 1) / least_size;
}

int UdpSocket::take_error() const {
    const int number = integer_option(fd_.get(), SOL_SOCKET, SO_ERROR);
    (void)take_queued_error();
    return number;
}

int UdpSocket::take_queued_error() const {
    constexpr int most = 256;
    int number = 0;
    for (int i = 0; i < most; ++i) {
        alignas(cmsghdr) std::array<std::byte, 256> control;
        msghdr message{};
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        if (::recvmsg(fd_.get(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) break;
        for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
            const bool v4 = one->cmsg_level == IPPROTO_IP && one->cmsg_type == IP_RECVERR;
            const bool v6 = one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_RECVERR;
            if (!v4 && !v6) continue;
            const auto next = static_cast<int>(reinterpret_cast<const sock_extended_err*>(CMSG_DATA(one))->ee_errno);
            if (number == 0 || next != EMSGSIZE) number = next;
        }
    }
    return number;
}

std::size_t UdpSocket::path_payload() const {
    const bool v6 = integer_option(fd_.get(), SOL_SOCKET, SO_DOMAIN) == AF_INET6;
    const int mtu = v6 ? integer_option(fd_.get(), IPPROTO_IPV6, IPV6_MTU) : integer_option(fd_.get(), IPPROTO_IP, IP_MTU);
    const int headers = (v6 ? 40 : 20) + 8;
    return mtu > headers ? static_cast<std::size_t>(mtu - headers) : 0;
}

}  // namespace flowd::net
