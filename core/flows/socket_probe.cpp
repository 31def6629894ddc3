// SPDX-License-Identifier: Apache-2.0
#include "core/flows/socket_probe.hpp"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "core/flows/flow_key.hpp"
#include "lib/diag/socket.hpp"

namespace flowd::core {

KernelSocketProbe::KernelSocketProbe() : interrupted_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void KernelSocketProbe::interrupt() {
    const std::uint64_t once = 1;
    (void)!write(interrupted_.get(), &once, sizeof once);
}

Result<void> KernelSocketProbe::dump(const Visitor& visitor) {
    auto socket = diag::Socket::open(interrupted_.get());
    if (!socket) return std::move(socket).error();
    return socket->dump({IPPROTO_TCP, 0, diag::connected_states()}, [&visitor](const diag::Connection& connection) {
        flowd_key key = connection.key();
        key.zone = connection.interface;
        normalise(key, 0);
        visitor(key);
    });
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
