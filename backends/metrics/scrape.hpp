// SPDX-License-Identifier: Apache-2.0
// One page for one client, printed and compressed piece by piece, so that it is never in memory as a whole. Belongs to the
// instance's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "backends/metrics/flow_samples.hpp"
#include "backends/metrics/gzip.hpp"
#include "backends/metrics/page.hpp"

namespace flowd::metrics {

class Scrape {
  public:
    Scrape(Format format, bool gzip, FlowFigures figures);

    /// What precedes the figures of flows is printed here before the first piece.
    [[nodiscard]] Page& page() { return page_; }
    /// Appends the next piece of the body. False: it was the last one.
    bool next(std::string& piece);

    /// Bytes of the page before gzip, as far as it was printed.
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    /// The time that was spent printing, without the time that the client needed.
    [[nodiscard]] std::chrono::nanoseconds time() const { return time_; }
    void add_time(std::chrono::nanoseconds time) { time_ += time; }

  private:
    Page page_;
    FlowFigures figures_;
    std::optional<Gzip> gzip_;
    std::uint64_t bytes_ = 0;
    std::chrono::nanoseconds time_{};
};

}  // namespace flowd::metrics
