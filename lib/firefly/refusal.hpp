// SPDX-License-Identifier: Apache-2.0
// lib/firefly/refusal.hpp: why a datagram is not accepted as a firefly.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flowd::firefly {

/// Appended to, never reordered: the names are values of a metric's label. docs/firefly.md explains each.
enum class Refusal : std::uint8_t {
    none,                 ///< accepted
    empty,                ///< no bytes, or only white space and NULs
    truncated,            ///< longer than the receive buffer
    no_json,              ///< no `{` anywhere
    bad_json,             ///< not one JSON object (RFC 8259), or not UTF-8
    unsupported_version,  ///< `version` is not 1
    missing_member,       ///< a member that the schema requires is missing
    repeated_member,      ///< a core member occurs twice
    bad_type,             ///< the type of a member differs from the schema
    bad_state,            ///< none of start, ongoing, end
    bad_time,             ///< a time that is neither absent, null, "" nor RFC 3339
    bad_family,           ///< afi and the addresses, or the two addresses, are of different families
    bad_address,          ///< not an address literal, or the unspecified address
    bad_port,             ///< outside 0 to 65535
    port_zero,            ///< well-formed, but a wildcard is not a flow
    bad_protocol,         ///< neither tcp nor udp
    bad_tag,              ///< experiment or activity outside 32 bits
};

inline constexpr std::array<std::string_view, 17> refusal_names{
    "none",           "empty",           "truncated", "no_json",      "bad_json", "unsupported_version",
    "missing_member", "repeated_member", "bad_type",  "bad_state",    "bad_time", "bad_family",
    "bad_address",    "bad_port",        "port_zero", "bad_protocol", "bad_tag"};

[[nodiscard]] constexpr std::string_view name_of(Refusal refusal) {
    return refusal_names[static_cast<std::size_t>(refusal)];
}

}  // namespace flowd::firefly
