// SPDX-License-Identifier: Apache-2.0
#include "plugins/namedpipe/line.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "flowd/address.hpp"
#include "flowd/number.hpp"
#include "lib/text/words.hpp"

namespace flowd::namedpipe {
namespace {

using text::same_word;

constexpr std::string_view blanks(" \t\r\v\f", 5);
constexpr std::size_t field_count = 8;

[[nodiscard]] bool split(std::string_view text, std::array<std::string_view, field_count>& fields) {
    std::size_t count = 0;
    for (auto begin = text.find_first_not_of(blanks); begin != std::string_view::npos;
         begin = text.find_first_not_of(blanks)) {
        if (count == field_count) return false;
        text.remove_prefix(begin);
        const auto length = std::min(text.find_first_of(blanks), text.size());
        fields[count++] = text.substr(0, length);
        text.remove_prefix(length);
    }
    return count == field_count;
}

[[nodiscard]] Refusal read_state(std::string_view text, std::uint32_t& kind) {
    if (same_word(text, "start"))
        kind = FLOWD_EVENT_START;
    else if (same_word(text, "end"))
        kind = FLOWD_EVENT_END;
    else if (same_word(text, "ongoing"))
        kind = FLOWD_EVENT_ONGOING;
    else
        return Refusal::bad_state;
    return Refusal::none;
}

[[nodiscard]] Refusal read_end(std::string_view address, std::string_view port, Endpoint& end) {
    const auto parsed = Address::parse(address);
    if (!parsed || parsed->is_unspecified()) return Refusal::bad_address;
    const auto digits = whole_number<std::uint32_t>(port);
    if (!digits || *digits > std::numeric_limits<std::uint16_t>::max()) return Refusal::bad_port;
    if (*digits == 0) return Refusal::port_zero;
    end = {*parsed, static_cast<std::uint16_t>(*digits)};
    return Refusal::none;
}

[[nodiscard]] Refusal read_tag(std::string_view experiment, std::string_view activity, flowd_tag& tag) {
    constexpr std::string_view missing = "-";
    const auto first = experiment == missing ? 0u : whole_number<std::uint32_t>(experiment);
    const auto second = activity == missing ? 0u : whole_number<std::uint32_t>(activity);
    if (!first || !second) return Refusal::bad_tag;
    // Half a tag is none.
    tag = experiment == missing || activity == missing ? flowd_tag{0, 0} : flowd_tag{*first, *second};
    return Refusal::none;
}

}  // namespace

bool is_blank(std::string_view text) {
    return text.find_first_not_of(blanks) == std::string_view::npos;
}

Refusal parse(std::string_view text, Line& line) {
    if (text.size() > longest_line) return Refusal::too_long;
    std::array<std::string_view, field_count> fields;
    if (!split(text, fields)) return Refusal::field_count;
    const auto [state, protocol, source_address, source_port, destination_address, destination_port, experiment, activity] =
        fields;
    if (const auto refusal = read_state(state, line.kind); refusal != Refusal::none) return refusal;
    const bool tcp = same_word(protocol, "tcp");
    if (!tcp && !same_word(protocol, "udp")) return Refusal::bad_protocol;
    Endpoint source, destination;
    if (const auto refusal = read_end(source_address, source_port, source); refusal != Refusal::none) return refusal;
    if (const auto refusal = read_end(destination_address, destination_port, destination); refusal != Refusal::none)
        return refusal;
    if (source.address.is_v4() != destination.address.is_v4()) return Refusal::bad_family;
    line.key = make_key(source, destination, tcp ? IPPROTO_TCP : IPPROTO_UDP);
    return read_tag(experiment, activity, line.tag);
}

}  // namespace flowd::namedpipe
