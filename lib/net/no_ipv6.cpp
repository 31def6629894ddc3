// SPDX-License-Identifier: Apache-2.0
#include "lib/net/no_ipv6.hpp"

#include <sys/socket.h>

#include <cerrno>

#include "flowd/unique_fd.hpp"

namespace flowd::net {

bool lacks_ipv6() {
    const UniqueFd probe(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return !probe && errno == EAFNOSUPPORT;
}

Error socket_error(int number, const std::string& what) {
    if (number != EAFNOSUPPORT) return Error::from_errno(number, what);
    return Error{FLOWD_NOT_FOUND, what + ": this kernel does not support the address family",
                 "write an address of the other family, or boot without ipv6.disable=1"};
}

ListeningEndpoint listening_endpoint(const Endpoint& wanted) {
    if (wanted.address.is_v4() || !wanted.address.is_unspecified() || !lacks_ipv6()) return {wanted, {}};
    Endpoint v4 = wanted;
    v4.address = Address::parse("0.0.0.0").value();
    return {v4, "this kernel has no IPv6 (it was booted with ipv6.disable=1, or built without): " + v4.to_string() +
                    " is used instead of " + wanted.to_string()};
}

}  // namespace flowd::net
