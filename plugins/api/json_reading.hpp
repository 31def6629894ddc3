// SPDX-License-Identifier: Apache-2.0
// Reading members of a request's JSON with errors that name them. One thread.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "flowd/address.hpp"
#include "flowd/result.hpp"

namespace flowd::api {

namespace dom = simdjson::dom;

/// What an error names: a member, or one within an object ("source.port"). Borrows; the text is composed for errors only.
struct Member {
    std::string_view name, object = {};
};

/// "source.port: is not a number from 1 to 65535"
[[nodiscard]] Error wrong(Member member, std::string_view what);

[[nodiscard]] Result<std::string_view> read_text(Member member, dom::element value);
[[nodiscard]] Result<std::uint64_t> read_number(Member member, dom::element value, std::uint64_t least, std::uint64_t most);
/// An address literal other than the unspecified address.
[[nodiscard]] Result<Address> read_address(Member member, std::string_view text);
/// RFC 3339; null, "" and Go's zero time are 0.
[[nodiscard]] Result<std::int64_t> read_time(Member member, dom::element value);

}  // namespace flowd::api
