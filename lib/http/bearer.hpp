// SPDX-License-Identifier: Apache-2.0
// lib/http/bearer.hpp: a bearer token (RFC 6750). Any thread.
#pragma once

#include <string>
#include <string_view>

namespace flowd::http {

class Bearer {
  public:
    /// 16 to 512 visible ASCII characters.
    [[nodiscard]] static bool is_token(std::string_view text);

    explicit Bearer(std::string token) : token_(std::move(token)) {}

    /// Whether the value of an Authorization header carries the token. The time does not depend on the content of a
    /// token of the same length.
    [[nodiscard]] bool allows(std::string_view authorization) const;

  private:
    std::string token_;
};

}  // namespace flowd::http
