// SPDX-License-Identifier: Apache-2.0
#include "lib/http/query.hpp"

#include <algorithm>
#include <string>

#include "flowd/number.hpp"

namespace flowd::http {
namespace {

[[nodiscard]] std::string decoded(std::string_view value) {
    std::string out;
    for (std::size_t i = 0; i < value.size(); ++i) {
        const auto digits = value[i] == '%' ? value.substr(i + 1, 2) : std::string_view();
        const auto byte = digits.size() == 2 ? whole_number<unsigned char>(digits, 16) : std::nullopt;
        out.push_back(byte ? static_cast<char>(*byte) : value[i]);
        i += byte ? 2 : 0;
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
