// SPDX-License-Identifier: Apache-2.0
// lib/firefly/provenance.hpp: what the receiver of a firefly tells the printers of fireflies about it, so that none goes
// round in circles and none reaches a collector twice. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "flowd/abi/event.h"
#include "flowd/address.hpp"
#include "lib/firefly/flowd_member.hpp"

namespace flowd::firefly {

/// The attachment in which it travels. Kept with the flow, so that an event which is repeated from the flow table (after
/// a reload, say) has it too.
inline constexpr std::string_view provenance_attachment = "flowd.firefly/1";

struct Provenance {
    Path path;               ///< as received; of a firefly without the member this daemon is the origin
    Address peer;            ///< who sent the datagram
    std::uint16_t port = 0;  ///< where it was received
    /// To whom the datagram itself was passed on already: lines, each a name as configured
    /// ("collector.example.org:10514") or an address ("[2001:db8::1]:10514"), every one ended by '\n'.
    std::string_view receivers;
};

/// "0123456789abcdef 2 2001:db8::1 10514\n", then the receivers.
[[nodiscard]] std::string to_text(const Provenance& provenance);
/// Borrows the text. Nothing for what to_text() has not written.
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
