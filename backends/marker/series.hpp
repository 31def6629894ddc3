// SPDX-License-Identifier: Apache-2.0
// backends/marker/series.hpp: what `marker status` shows, as time series. Lives on its instance's thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "backends/marker/marking.hpp"
#include "backends/marker/tag_table.hpp"
#include "flowd/host.hpp"

namespace flowd::marker {

class Series {
  public:
    /// `host` must outlive this.
    explicit Series(Host& host);

    /// Reads what status reads. To be called now and then: nobody asks when the series are looked at.
    void publish(const Marking& marking);

  private:
    using Interface = std::pair<int, std::string>;  // one that is made again has another index, and counts anew
    void publish_packets(const Marking& marking);

    Host& host_;
    std::map<Interface, std::vector<Counter>> packets_;  // by enum marker_outcome
    std::array<Counter, TagTable::reasons.size()> skipped_;
    Gauge flows_;
    Gauge adopted_;
    Gauge capacity_;
};

}  // namespace flowd::marker
