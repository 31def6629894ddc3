// SPDX-License-Identifier: Apache-2.0
// lib/firefly/provenance.hpp: information about a received firefly for the backends that print fireflies, to prevent loops
// and duplicates at collectors. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "flowd/abi/event.h"
#include "flowd/address.hpp"
#include "lib/firefly/flowd_member.hpp"

namespace flowd::firefly {

/// Id of the attachment. It is kept with the flow, so that an event that is repeated from the flow table (for example after
/// a reload) has it, too.
inline constexpr std::string_view provenance_attachment = "flowd.firefly/1";

struct Provenance {
    Path path;               ///< as received; this daemon is the origin of a firefly without the member
    Address peer;            ///< sender of the datagram
    std::uint16_t port = 0;  ///< local port at which it was received
    /// Receivers that the datagram was relayed to already: lines that end with '\n', each a name as configured
    /// ("collector.example.org:10514") or an address ("[2001:db8::1]:10514").
    std::string_view receivers;
};

/// "0123456789abcdef 2 2001:db8::1 10514\n", then the receivers.
void append_text(std::string& text, const Provenance& provenance);
[[nodiscard]] inline std::string to_text(const Provenance& provenance) {
    std::string text;
    append_text(text, provenance);
    return text;
}
/// Borrows the text. Empty if to_text() has not written it.
[[nodiscard]] std::optional<Provenance> parse_provenance(std::string_view text);

inline void add_receiver(std::string& lines, std::string_view receiver) {
    lines.append(receiver).push_back('\n');
}

[[nodiscard]] inline bool names_receiver(std::string_view lines, std::string_view receiver) {
    if (receiver.empty()) return false;
    for (auto at = lines.find(receiver); at != std::string_view::npos; at = lines.find(receiver, at + 1)) {
        const auto end = at + receiver.size();
        if ((at == 0 || lines[at - 1] == '\n') && end < lines.size() && lines[end] == '\n') return true;
    }
    return false;
}

}  // namespace flowd::firefly
