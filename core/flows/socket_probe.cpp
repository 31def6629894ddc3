// SPDX-License-Identifier: Apache-2.0
#include "core/flows/socket_probe.hpp"

#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "core/base/clock.hpp"
#include "core/flows/flow_key.hpp"
#include "flowd/address.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {
namespace {

// include/net/tcp_states.h. A connection in TIME_WAIT is over for whoever had it.
constexpr std::uint32_t connected_states = (1u << TCP_ESTABLISHED) | (1u << TCP_SYN_SENT) | (1u << TCP_SYN_RECV) |
                                           (1u << TCP_FIN_WAIT1) | (1u << TCP_FIN_WAIT2) | (1u << TCP_CLOSE_WAIT) |
                                           (1u << TCP_LAST_ACK) | (1u << TCP_CLOSING);
constexpr std::size_t buffer_size = 64 * 1024;       // the kernel fills up to 32 KiB at a time
constexpr std::int64_t patience_ns = 1'000'000'000;  // of a read: the kernel answers at once or not at all
constexpr std::int64_t most_ns = 10 * patience_ns;   // of a whole look

struct Request {
    nlmsghdr header;
    inet_diag_req_v2 body;
};

Result<void> ask(int fd, std::uint8_t family) {
    Request request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.header.nlmsg_seq = family;
    request.body.sdiag_family = family;
    request.body.sdiag_protocol = IPPROTO_TCP;
    request.body.idiag_states = connected_states;
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    if (sendto(fd, &request, sizeof request, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0)
        return Error::from_errno(errno, "asking sock_diag for TCP connections");
    return {};
}

Address address_of(std::uint8_t family, const __be32 (&words)[4]) {
    if (family == AF_INET) {
        in_addr v4{};
        std::memcpy(&v4, &words[0], sizeof v4);
        return Address(v4);
    }
    in6_addr v6{};
    std::memcpy(&v6, &words[0], sizeof v6);
    return Address(v6);
}

void tell(const inet_diag_msg& message, const SocketProbe::Visitor& visitor) {
    const Endpoint local{address_of(message.idiag_family, message.id.idiag_src), ntohs(message.id.idiag_sport)};
    const Endpoint remote{address_of(message.idiag_family, message.id.idiag_dst), ntohs(message.id.idiag_dport)};
    flowd_key key = make_key(local, remote, IPPROTO_TCP);
    key.zone = message.id.idiag_if;
    normalise(key, 0);
    visitor(key);
}

/// One datagram of the dump. True: there is more to come.
Result<bool> read(std::vector<char>& buffer, std::size_t length, std::uint8_t family, const SocketProbe::Visitor& visitor) {
    auto left = static_cast<unsigned>(length);
    for (auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
        if (header->nlmsg_seq != family) continue;
        if (header->nlmsg_flags & NLM_F_DUMP_INTR)
            return Error{FLOWD_ERROR, "the list of TCP connections changed while sock_diag told it"};
        if (header->nlmsg_type == NLMSG_DONE) {
            // A dump that the kernel refuses, or breaks off, says so here: it is no empty list.
            int status = 0;
            if (header->nlmsg_len >= NLMSG_LENGTH(sizeof status)) std::memcpy(&status, NLMSG_DATA(header), sizeof status);
            if (status < 0) return Error::from_errno(-status, "sock_diag");
            return false;
        }
        if (header->nlmsg_type == NLMSG_ERROR) {
            nlmsgerr error{};
            if (header->nlmsg_len < NLMSG_LENGTH(sizeof error)) return Error{FLOWD_ERROR, "sock_diag: short error"};
            std::memcpy(&error, NLMSG_DATA(header), sizeof error);
            return Error::from_errno(-error.error, "sock_diag");
        }
        if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || header->nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) continue;
        inet_diag_msg message{};
        std::memcpy(&message, NLMSG_DATA(header), sizeof message);
        tell(message, visitor);
    }
    return true;
}

}  // namespace

KernelSocketProbe::KernelSocketProbe() : interrupted_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void KernelSocketProbe::interrupt() {
    const std::uint64_t once = 1;
    (void)!write(interrupted_.get(), &once, sizeof once);
}

/// Until there is something to read.
Result<void> KernelSocketProbe::wait(int fd, std::int64_t until_ns) const {
    for (;;) {
        std::array<pollfd, 2> watched{{{fd, POLLIN, 0}, {interrupted_.get(), POLLIN, 0}}};
        const std::int64_t left = until_ns - steady_ns();
        if (left <= 0) return Error{FLOWD_ERROR, "the answer of sock_diag took longer than 10 s"};
        const int ready =
            poll(watched.data(), watched.size(), static_cast<int>(std::min(left, patience_ns) / 1'000'000) + 1);
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) return Error::from_errno(errno, "waiting for sock_diag");
        if (watched[1].revents != 0) return Error{FLOWD_STOPPED, "the daemon is stopping"};
        if (ready == 0) return Error{FLOWD_ERROR, "sock_diag did not answer within a second"};
        return {};
    }
}

Result<void> KernelSocketProbe::dump(const Visitor& visitor) {
    const UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (fd.get() < 0) return Error::from_errno(errno, "opening a sock_diag socket");
    const std::int64_t until = steady_ns() + most_ns;
    std::vector<char> buffer(buffer_size);
    for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
        if (auto asked = ask(fd.get(), family); !asked) return std::move(asked).error();
        for (bool more = true; more;) {
            if (auto ready = wait(fd.get(), until); !ready) return ready;
            const ssize_t length = recv(fd.get(), buffer.data(), buffer.size(), MSG_TRUNC);
            if (length < 0 && errno == EINTR) continue;
            if (length < 0) return Error::from_errno(errno, "reading from sock_diag");
            if (static_cast<std::size_t>(length) > buffer.size()) return Error{FLOWD_ERROR, "sock_diag: answer cut off"};
            auto state = read(buffer, static_cast<std::size_t>(length), family, visitor);
            if (!state) return std::move(state).error();
            more = *state;
        }
    }
    return {};
}

Result<std::vector<Address>> KernelSocketProbe::addresses() {
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return Error::from_errno(errno, "listing the addresses of this host");
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owned(list, freeifaddrs);
    std::vector<Address> out;
    for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next)
        if (const auto endpoint = Endpoint::from(at->ifa_addr)) out.push_back(endpoint->address);
    return out;
}

}  // namespace flowd::core
