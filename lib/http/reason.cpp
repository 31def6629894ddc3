// SPDX-License-Identifier: Apache-2.0
#include "lib/http/reason.hpp"

#include <ostream>  // Boost 1.74 uses it without including it

#include <algorithm>
#include <boost/beast/http/status.hpp>

namespace flowd::http {

std::string_view reason(unsigned status) {
    // RFC 9110 renamed these two.
    if (status == 413) return "Content Too Large";
    if (status == 422) return "Unprocessable Content";
    const auto text = boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(status));
    return {text.data(), text.size()};
}

std::string reason_word(unsigned status) {
    std::string word(reason(status));
    std::replace(word.begin(), word.end(), ' ', '_');
    std::transform(word.begin(), word.end(), word.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return word;
}

}  // namespace flowd::http
