// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/scrape.hpp"

#include <utility>

namespace flowd::metrics {
namespace {

constexpr std::size_t piece_bytes = 64 * 1024;

}  // namespace

Scrape::Scrape(Format format, bool gzip, FlowFigures figures) : page_(format), figures_(std::move(figures)) {
    if (gzip) gzip_.emplace();
}

bool Scrape::next(std::string& piece) {
    const auto begin = std::chrono::steady_clock::now();
    const bool more = figures_.print(page_, piece_bytes);
    if (!more) page_.end();
    std::string& text = page_.text();
    bytes_ += text.size();
    if (gzip_)
        gzip_->add(text, !more, piece);
    else
        piece.append(text);
    text.clear();
    time_ += std::chrono::steady_clock::now() - begin;
    return more;
}

}  // namespace flowd::metrics
