// SPDX-License-Identifier: Apache-2.0
#include "lib/http/bearer.hpp"

#include <algorithm>

#include "lib/text/words.hpp"

namespace flowd::http {
namespace {

constexpr std::size_t shortest = 16, longest = 512;
constexpr std::string_view scheme = "bearer ";

[[nodiscard]] bool same_in_constant_time(std::string_view a, std::string_view b) {
    unsigned difference = a.size() == b.size() ? 0u : 1u;
    for (std::size_t i = 0; i < a.size() && !b.empty(); ++i)
        difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i % b.size()]);
    const volatile unsigned result = difference;  // the loop must not end early
    return result == 0;
}

}  // namespace

bool Bearer::is_token(std::string_view text) {
    return text.size() >= shortest && text.size() <= longest &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

bool Bearer::allows(std::string_view authorization) const {
    if (!text::same_word(authorization.substr(0, scheme.size()), scheme)) return false;
    authorization.remove_prefix(scheme.size());
    while (!authorization.empty() && authorization.front() == ' ') authorization.remove_prefix(1);
    return same_in_constant_time(authorization, token_);
}

}  // namespace flowd::http
