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

/// "source.port: is not a number from 1 to 65535"
[[nodiscard]] Error wrong(std::string_view member, std::string_view what);

[[nodiscard]] Result<std::string_view> read_text(std::string_view member, dom::element value);
[[nodiscard]] Result<std::uint64_t> read_number(std::string_view member, dom::element value, std::uint64_t least,
                                                std::uint64_t most);
/// An address literal other than the unspecified address.
[[nodiscard]] Result<Address> read_address(std::string_view member, std::string_view text);
/// RFC 3339; null, "" and Go's zero time are 0.
[[nodiscard]] Result<std::int64_t> read_time(std::string_view member, dom::element value);

}  // namespace flowd::api
