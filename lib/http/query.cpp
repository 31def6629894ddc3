// SPDX-License-Identifier: Apache-2.0
#include "lib/http/query.hpp"

#include <algorithm>
#include <charconv>
#include <string>

namespace flowd::http {
namespace {

[[nodiscard]] std::string decoded(std::string_view value) {
    std::string out;
    for (std::size_t i = 0; i < value.size(); ++i) {
        unsigned char byte = 0;
        const auto digits = value[i] == '%' ? value.substr(i + 1, 2) : std::string_view();
        const char* const last = digits.data() + digits.size();
        const bool is_encoded = digits.size() == 2 && std::from_chars(digits.data(), last, byte, 16).ptr == last;
        out.push_back(is_encoded ? static_cast<char>(byte) : value[i]);
        i += is_encoded ? 2 : 0;
    }
    return out;
}

}  // namespace

bool each_parameter(std::string_view query, const std::function<bool(std::string_view, std::string_view)>& take) {
    while (!query.empty()) {
        const auto end = std::min(query.find('&'), query.size());
        const auto one = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (one.empty()) continue;
        const auto equals = std::min(one.find('='), one.size());
        if (!take(one.substr(0, equals), decoded(one.substr(std::min(equals + 1, one.size()))))) return false;
    }
    return true;
}

}  // namespace flowd::http
