// SPDX-License-Identifier: Apache-2.0
// core/flows/usages.hpp: which measurement of a flow is believed, and why its totals never fall. Guarded by the shard's
// lock.
#pragma once

#include <cstdint>
#include <map>

#include "core/flows/flow_store.hpp"
#include "flowd/abi/event.h"

namespace flowd::core {

/// The usage of the highest source (FLOWD_USAGE_*) that a flow has had is believed. Of several who report for that source
/// the one with the highest figures is: two daemons, or two enrichers, may measure one connection. When that one begins
/// again at 0, what it had counted before is added. Its report is smaller than half of its last one then: what is only a
/// little smaller arrived out of order.
class Usages {
  public:
    /// `reporter` tells apart those who report, within one source. True: the bytes that the flow is known to have moved
    /// have grown. When it throws it has changed nothing.
    bool take(Flow& flow, const flowd_usage& report, std::uint32_t reporter);
    void forget(Flow& flow);  ///< before its record is removed
    [[nodiscard]] static flowd_usage of(const Flow& flow);

  private:
    /// Of a flow whose totals are not the last report as it is: few.
    struct Base {
        FlowTotals before;  ///< what was counted before the source began again
        FlowTotals last;    ///< the last report
    };
    std::map<std::uint32_t, Base>
        bases_;  ///< by the record's place; a hash table takes long to grow, under the shard's lock
};

}  // namespace flowd::core
