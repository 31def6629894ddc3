// SPDX-License-Identifier: Apache-2.0
// lib/net/zone.hpp: the zone of a link-local address (RFC 4007): "fe80::1%eth0", "fe80::1%3". Pure functions, except
// that they read the interfaces; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "flowd/address.hpp"
#include "flowd/problem.hpp"

namespace flowd::net {

/// The part after '%' of an address literal; empty for an address without a zone, and for a name.
[[nodiscard]] std::string_view zone_of(std::string_view host);

/// The index of the interface that a zone names, by name or by number; 0: it does not exist now.
[[nodiscard]] std::uint32_t interface_of(std::string_view zone);

/// Why nothing can be sent to `address` through `zone` now: it is link-local without a zone, or the interface does not
/// exist. Empty: it can be sent to.
[[nodiscard]] std::string zone_trouble(const Address& address, std::string_view zone);

/// Refuses a host that datagrams cannot be sent to: a group or wildcard address, a link-local IPv6 address without a zone,
/// and a zone of another address. Warns of an interface that does not exist now. `path`: the option.
void validate_host(const std::string& host, const std::string& path, Problems& problems);

}  // namespace flowd::net
