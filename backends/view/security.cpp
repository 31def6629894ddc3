// SPDX-License-Identifier: Apache-2.0
#include "backends/view/security.hpp"

#include <sys/random.h>

#include <array>
#include <utility>

namespace flowd::view {
namespace {

[[nodiscard]] http::Response with_policy(http::Response response, std::string policy) {
    auto& headers = response.headers;
    headers.emplace_back("Content-Security-Policy", std::move(policy) + "; frame-ancestors 'none'");
    headers.emplace_back("X-Content-Type-Options", "nosniff");
    headers.emplace_back("X-Frame-Options", "DENY");
    headers.emplace_back("Referrer-Policy", "no-referrer");
    headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
    headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
    headers.emplace_back("Cache-Control", "no-store");
    return response;
}

}  // namespace

http::Response secured(http::Response response) {
    return with_policy(std::move(response), "default-src 'none'");
}

http::Response secured_page(std::string body, std::string_view nonce) {
    const std::string ours = " 'nonce-" + std::string(nonce) + "'";
    return with_policy({.content_type = "text/html; charset=utf-8", .body = std::move(body)},
                       "default-src 'none'; script-src" + ours + "; style-src" + ours +
                           "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                           "require-trusted-types-for 'script'; trusted-types 'none'");
}

std::string random_nonce() {
    std::array<unsigned char, 16> bytes;
    if (::getrandom(bytes.data(), bytes.size(), GRND_NONBLOCK) != static_cast<ssize_t>(bytes.size())) return {};
    std::string text;
    for (const unsigned char byte : bytes) {
        constexpr std::string_view digits = "0123456789abcdef";
        text.push_back(digits[byte >> 4]);
        text.push_back(digits[byte & 15]);
    }
    return text;
}

}  // namespace flowd::view
