// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/json_reading.hpp"

#include <utility>

#include "lib/firefly/timestamp.hpp"

namespace flowd::api {

Error wrong(Member member, std::string_view what) {
    std::string text(member.object);
    if (!text.empty()) text.push_back('.');
    text.append(member.name).append(": ").append(what);
    return Error{FLOWD_INVALID, std::move(text)};
}

Result<std::string_view> read_text(Member member, dom::element value) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return wrong(member, "is not a string");
    return text;
}

Result<std::uint64_t> read_number(Member member, dom::element value, std::uint64_t least, std::uint64_t most) {
    std::uint64_t number = 0;
    if (value.get(number) != simdjson::SUCCESS || number < least || number > most)
        return wrong(member, "is not a number from " + std::to_string(least) + " to " + std::to_string(most));
    return number;
}

Result<Address> read_address(Member member, std::string_view text) {
    const auto address = Address::parse(text);
    if (!address) return wrong(member, "is not an IPv4 or IPv6 address");
    if (address->is_unspecified()) return wrong(member, "is the unspecified address: a wildcard is not a flow");
    return *address;
}

Result<std::int64_t> read_time(Member member, dom::element value) {
    if (value.is_null()) return std::int64_t{0};
    auto text = read_text(member, value);
    if (!text) return std::move(text).error();
    const auto time = firefly::parse_event_time(*text);
    if (!time) return wrong(member, "is not a time of RFC 3339");
    return *time;
}

}  // namespace flowd::api
