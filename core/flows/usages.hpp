// SPDX-License-Identifier: Apache-2.0
// core/flows/usages.hpp: which measurement of a flow takes precedence, and how its totals never decrease. Guarded by the
// shard's lock.
#pragma once

#include <cstdint>
#include <map>

#include "core/flows/flow_store.hpp"
#include "flowd/abi/event.h"

namespace flowd::core {

/// The highest source (FLOWD_USAGE_*) that has reported for a flow takes precedence. Of several reporters of that source
/// it is the one with the highest counts: two daemons, or two enrichers, may measure one connection. If that one restarts
/// at 0, its previous count is added. A restart is a report smaller than half of its last one: a report that is only a
/// little smaller arrived out of order.
class Usages {
  public:
    /// `reporter` distinguishes reporters of one source. True: the number of bytes of the flow has
    /// increased. If it throws, it has changed nothing.
    bool take(Flow& flow, const flowd_usage& report, std::uint32_t reporter);
    void forget(Flow& flow);  ///< before its record is removed
    [[nodiscard]] static flowd_usage of(const Flow& flow);

  private:
    /// For the few flows whose totals differ from the last report.
    struct Base {
        FlowTotals before;  ///< counted before the source restarted
        FlowTotals last;    ///< the last report
    };
    std::map<std::uint32_t, Base> bases_;  ///< by record index; a hash table takes long to grow, under the shard's lock
};

}  // namespace flowd::core
