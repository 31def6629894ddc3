// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/capture.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace flowd::marker {
namespace {

constexpr std::uint32_t first_bytes = 256;  // enough for Ethernet, IPv6, eight short extension headers and ports
constexpr int buffer_size = 16 << 20;
constexpr int packets_at_once = 4096;

/// Accepts outgoing packets of these EtherTypes only, and copies only their first bytes. The type of a packet with a VLAN
/// tag in its data is that of the tag; a tag that the kernel keeps outside of the data (PACKET_AUXDATA) changes nothing.
std::vector<sock_filter> outgoing(const std::vector<std::uint32_t>& types) {
    const auto about = [](int what) { return static_cast<std::uint32_t>(SKF_AD_OFF + what); };
    std::vector<sock_filter> program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, about(SKF_AD_PKTTYPE)),
                                     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 1, 0),
                                     BPF_STMT(BPF_RET | BPF_K, 0),
                                     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, about(SKF_AD_PROTOCOL))};
    for (const std::uint32_t type : types) {
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, type, 0, 1));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, first_bytes));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
    return program;
}

/// Where the IP header begins, by PACKET_AUXDATA; 0 if the kernel does not say so.
std::size_t network_offset(msghdr& message) {
    for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
        tpacket_auxdata about{};
        if (one->cmsg_level != SOL_PACKET || one->cmsg_type != PACKET_AUXDATA || one->cmsg_len < CMSG_LEN(sizeof about))
            continue;
        std::memcpy(&about, CMSG_DATA(one), sizeof about);
        return about.tp_net;
    }
    return 0;
}

}  // namespace

Result<Capture> Capture::open(int interface_index, bool with_ipv4) {
    // With protocol 0 the socket receives nothing until bind(): the filter is attached before the first packet.
    UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) {
        Error error = Error::from_errno(errno, "packets cannot be looked at");
        if (error.code == FLOWD_DENIED) error.hint = "run it as root: CAP_NET_RAW is needed";
        return error;
    }
    std::vector<std::uint32_t> types{ETH_P_IPV6, ETH_P_8021Q, ETH_P_8021AD};
    if (with_ipv4) types.push_back(ETH_P_IP);
    auto filter = outgoing(types);
    const int on = 1;
    if (::setsockopt(fd.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) != 0)
        return Error::from_errno(errno, "asking for PACKET_AUXDATA");
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
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(tpacket_auxdata))> control;
    for (int i = 0; i < packets_at_once; ++i) {
        sockaddr_ll from{};
        iovec into{bytes.data(), bytes.size()};
        msghdr message{};
        message.msg_name = &from;
        message.msg_namelen = sizeof from;
        message.msg_iov = &into;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const auto size = ::recvmsg(fd_.get(), &message, 0);
        if (size < 0) return;
        const bool is_ethernet = from.sll_hatype == ARPHRD_ETHER || from.sll_hatype == ARPHRD_LOOPBACK;
        const Frame frame{{bytes.data(), static_cast<std::size_t>(size)}, is_ethernet, network_offset(message)};
        if (const auto packet = ip_packet_of(frame); !packet.empty()) each(packet);
    }
}

std::uint32_t Capture::missed() const {
    tpacket_stats stats{};
    socklen_t size = sizeof stats;
    return ::getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0 ? stats.tp_drops : 0;
}

}  // namespace flowd::marker
