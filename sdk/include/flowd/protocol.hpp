// SPDX-License-Identifier: Apache-2.0
// flowd/protocol.hpp: names of transport protocols (IANA, Assigned Internet Protocol Numbers). Pure functions, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "flowd/number.hpp"

namespace flowd {

inline constexpr std::array<std::pair<std::string_view, std::uint8_t>, 5> protocol_names{
    {{"tcp", 6}, {"udp", 17}, {"sctp", 132}, {"icmp", 1}, {"icmpv6", 58}}};

/// "tcp", or the number where this list has no name.
[[nodiscard]] inline std::string protocol_name(std::uint8_t protocol) {
    for (const auto& [name, number] : protocol_names)
        if (number == protocol) return std::string(name);
    return std::to_string(protocol);
}

/// The protocol of a name, in lower case, or of a number up to 255.
[[nodiscard]] inline std::optional<std::uint8_t> parse_protocol(std::string_view text) {
    for (const auto& [name, number] : protocol_names)
        if (name == text) return number;
    return whole_number<std::uint8_t>(text);
}

}  // namespace flowd
