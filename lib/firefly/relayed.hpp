// SPDX-License-Identifier: Apache-2.0
// lib/firefly/relayed.hpp: how a relay of original datagrams and a printer of fireflies avoid telling one collector
// twice. Pure functions, any thread.
#pragma once

#include <string>
#include <string_view>

#include "flowd/abi/event.h"

namespace flowd::firefly {

/// The attachment by which a plugin says to whom it has passed the datagram of this event on already: lines, each a name
/// as configured ("collector.example.org:10514") or an address ("[2001:db8::1]:10514"), every one ended by '\n'.
/// Kept with the flow, so that a start which is repeated from the flow table (after a reload, say) says so too.
inline constexpr std::string_view relayed_attachment = "flowd.relayed/1";

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
