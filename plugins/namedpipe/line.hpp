// SPDX-License-Identifier: Apache-2.0
// One line of the pipe: STATE PROTOCOL SOURCE PORT DESTINATION PORT EXPERIMENT ACTIVITY. Pure functions, any thread.
// Sources: the READMEs of flowd and flowd-go, StoRM WebDAV's SciTagTransfer.java and its log format for NGINX.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "flowd/abi/event.h"

namespace flowd::namedpipe {

/// Why a line announces nothing. Appended to, never reordered: the names are values of a metric's label.
enum class Refusal : std::uint8_t {
    none,          ///< understood
    too_long,      ///< longer than `longest_line`
    field_count,   ///< not eight fields
    bad_state,     ///< none of start, end, ongoing
    bad_protocol,  ///< neither tcp nor udp
    bad_address,   ///< no address literal, or the unspecified address
    bad_family,    ///< IPv4 at one end, IPv6 at the other
    bad_port,      ///< not a number up to 65535
    port_zero,     ///< a wildcard is no flow
    bad_tag,       ///< an id that is neither `-` nor a number of 32 bits
    unterminated,  ///< its newline never came
};

inline constexpr std::array<std::string_view, 11> refusal_names{"none",         "too_long",    "field_count", "bad_state",
                                                                "bad_protocol", "bad_address", "bad_family",  "bad_port",
                                                                "port_zero",    "bad_tag",     "unterminated"};

[[nodiscard]] constexpr std::string_view name_of(Refusal refusal) {
    return refusal_names[static_cast<std::size_t>(refusal)];
}

/// PIPE_BUF: a writer of more could be interrupted by another one in the middle of its line.
inline constexpr std::size_t longest_line = 4096;

/// `kind` is FLOWD_EVENT_START, FLOWD_EVENT_ONGOING or FLOWD_EVENT_END.
struct Line {
    std::uint32_t kind = 0;
    flowd_key key{};
    flowd_tag tag{};
};

/// Nothing but blanks.
[[nodiscard]] bool is_blank(std::string_view text);

/// Fields may be apart by any blanks and written in any case; addresses as Address::parse takes them. An id of `-` is
/// missing, which makes the tag 0/0. Refusal::none fills `line`; after any other answer its content is unspecified.
[[nodiscard]] Refusal parse(std::string_view text, Line& line);

}  // namespace flowd::namedpipe
