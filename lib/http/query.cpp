// SPDX-License-Identifier: Apache-2.0
#include "lib/http/query.hpp"

#include <algorithm>

namespace flowd::http {

bool each_parameter(std::string_view query, const std::function<bool(std::string_view, std::string_view)>& take) {
    while (!query.empty()) {
        const auto end = std::min(query.find('&'), query.size());
        const auto one = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (one.empty()) continue;
        const auto equals = std::min(one.find('='), one.size());
        if (!take(one.substr(0, equals), one.substr(std::min(equals + 1, one.size())))) return false;
    }
    return true;
}

}  // namespace flowd::http
