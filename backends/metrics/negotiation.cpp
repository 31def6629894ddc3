// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/negotiation.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "lib/text/words.hpp"

namespace flowd::metrics {
namespace {

[[nodiscard]] std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// Calls `take` for each part between separators.
void each_part(std::string_view text, char separator, const std::function<void(std::string_view)>& take) {
    while (!text.empty()) {
        const auto at = std::min(text.find(separator), text.size());
        take(trimmed(text.substr(0, at)));
        text.remove_prefix(std::min(at + 1, text.size()));
    }
}

/// "0.75" in thousandths; 0 if malformed.
[[nodiscard]] int weight_of(std::string_view text) {
    if (text.empty() || (text.front() != '0' && text.front() != '1')) return 0;
    int weight = (text.front() - '0') * 1000;
    if (text.size() == 1) return weight;
    if (text[1] != '.' || text.size() > 5) return 0;
    for (std::size_t i = 2, unit = 100; i < text.size(); ++i, unit /= 10) {
        if (text[i] < '0' || text[i] > '9') return 0;
        weight += (text[i] - '0') * static_cast<int>(unit);
    }
    return std::min(weight, 1000);
}

/// One member of Accept or Accept-Encoding.
struct Offer {
    std::string_view what;
    std::string_view version;
    int weight = 1000;
};

[[nodiscard]] Offer offer_of(std::string_view text) {
    Offer offer;
    bool first = true;
    each_part(text, ';', [&](std::string_view part) {
        const auto equals = part.find('=');
        if (std::exchange(first, false))
            offer.what = part;
        else if (equals != std::string_view::npos && text::same_word(trimmed(part.substr(0, equals)), "q"))
            offer.weight = weight_of(trimmed(part.substr(equals + 1)));
        else if (equals != std::string_view::npos && text::same_word(trimmed(part.substr(0, equals)), "version"))
            offer.version = trimmed(part.substr(equals + 1));
    });
    return offer;
}

}  // namespace

Format format_of(std::string_view accept) {
    int open_metrics = 0, plain = 0;
    each_part(accept, ',', [&](std::string_view part) {
        const Offer offer = offer_of(part);
        if (text::same_word(offer.what, "application/openmetrics-text")) {
            if (offer.version.empty() || offer.version.starts_with("1.") || offer.version == "0.0.1")
                open_metrics = std::max(open_metrics, offer.weight);
        } else if (text::same_word(offer.what, "text/plain")) {
            plain = std::max(plain, offer.weight);
        }
    });
    return open_metrics > 0 && open_metrics >= plain ? Format::open_metrics : Format::text;
}

bool accepts_gzip(std::string_view accept_encoding) {
    int gzip = -1, any = 0;
    each_part(accept_encoding, ',', [&](std::string_view part) {
        const Offer offer = offer_of(part);
        if (text::same_word(offer.what, "gzip") || text::same_word(offer.what, "x-gzip"))
            gzip = std::max(gzip, offer.weight);
        else if (offer.what == "*")
            any = offer.weight;
    });
    return gzip < 0 ? any > 0 : gzip > 0;
}

std::string_view content_type_of(Format format) {
    return format == Format::open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                          : "text/plain; version=0.0.4; charset=utf-8";
}

}  // namespace flowd::metrics
