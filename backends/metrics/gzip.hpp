// SPDX-License-Identifier: Apache-2.0
// gzip (RFC 1952) of a text. Pure function.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace flowd::metrics {

/// At zlib's fastest level, which suffices for repeated labels. Empty: out of memory.
[[nodiscard]] std::optional<std::string> gzip(std::string_view text);

}  // namespace flowd::metrics
