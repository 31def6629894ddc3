// SPDX-License-Identifier: Apache-2.0
// backends/marker/series.hpp: the counters of a marking, as time series and in the status. Belongs to its instance's
// thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "backends/marker/coverage.hpp"
#include "backends/marker/marking.hpp"
#include "flowd/counters.hpp"
#include "flowd/host.hpp"

namespace flowd::marker {

class Series {
  public:
    /// Both must outlive this.
    Series(const Host& host, const Marking& marking);

    /// Call it periodically: a module is not notified when its series are read.
    void publish();
    void status(json::Writer& object) const { counters_.status(object); }

  private:
    using Interface = std::pair<int, std::string>;  // a re-created interface has another index, and counts from 0

    const Host& host_;
    const Marking& marking_;
    Counters counters_;
    std::map<Interface, std::unique_ptr<Counters>> packets_;
    CoverageSeries coverage_{host_, marking_};
};

}  // namespace flowd::marker
