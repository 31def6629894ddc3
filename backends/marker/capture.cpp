// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/capture.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace flowd::marker {
namespace {

constexpr std::uint32_t first_bytes = 256;  // enough for IPv6, eight short extension headers and ports
constexpr int buffer_size = 16 << 20;
constexpr int packets_at_once = 4096;

/// Accepts outgoing IPv6 packets only, and copies only their first bytes.
std::array<sock_filter, 6> outgoing_ipv6() {
    const auto about = [](int what) { return static_cast<std::uint32_t>(SKF_AD_OFF + what); };
    return {{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, about(SKF_AD_PKTTYPE)),
             BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 3),
             BPF_STMT(BPF_LD | BPF_W | BPF_ABS, about(SKF_AD_PROTOCOL)),
             BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 1), BPF_STMT(BPF_RET | BPF_K, first_bytes),
             BPF_STMT(BPF_RET | BPF_K, 0)}};
}

}  // namespace

Result<Capture> Capture::open(int interface_index) {
    // With protocol 0 the socket receives nothing until bind(): the filter is attached before the first packet.
    UniqueFd fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) {
        Error error = Error::from_errno(errno, "packets cannot be looked at");
        if (error.code == FLOWD_DENIED) error.hint = "run it as root: CAP_NET_RAW is needed";
        return error;
    }
    auto filter = outgoing_ipv6();
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
        return Error::from_errno(errno, "attaching the filter of a packet socket");
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_size, sizeof buffer_size) != 0)
        (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &buffer_size, sizeof buffer_size);
    sockaddr_ll where{};
    where.sll_family = AF_PACKET;
    where.sll_protocol = htons(ETH_P_ALL);
    where.sll_ifindex = interface_index;
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0)
        return Error::from_errno(errno, "binding a packet socket");
    return Capture(std::move(fd));
}

void Capture::read(const std::function<void(std::span<const std::uint8_t>)>& each) const {
    std::array<std::uint8_t, first_bytes> bytes;
    for (int i = 0; i < packets_at_once; ++i) {
        const auto size = ::recv(fd_.get(), bytes.data(), bytes.size(), 0);
        if (size < 0) return;
        each({bytes.data(), static_cast<std::size_t>(size)});
    }
}

std::uint32_t Capture::missed() const {
    tpacket_stats stats{};
    socklen_t size = sizeof stats;
    return ::getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0 ? stats.tp_drops : 0;
}

}  // namespace flowd::marker
