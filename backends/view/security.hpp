// SPDX-License-Identifier: Apache-2.0
// What every response tells the browser. Pure functions, any thread.
#pragma once

#include <string>
#include <string_view>

#include "lib/http/message.hpp"

namespace flowd::view {

/// Adds the header fields of a response that is no document: it is neither executed, nor framed, nor read by other sites.
[[nodiscard]] http::Response secured(http::Response response);

/// The page with the header fields that allow its own script and style, by `nonce`, and requests to its own server.
[[nodiscard]] http::Response secured_page(std::string body, std::string_view nonce);

/// 32 hexadecimal digits that nobody can guess; empty if the kernel has none yet.
[[nodiscard]] std::string random_nonce();

}  // namespace flowd::view
