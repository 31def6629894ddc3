// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/series.hpp"

#include <cstdint>
#include <vector>

#include "backends/marker/tag_table.hpp"

namespace flowd::marker {

Series::Series(const Host& host, const Marking& marking)
    : host_(host),
      marking_(marking),
      counters_(host,
                {
                    {"flows", "marker_flows", "Flows in the kernel's table.", [this] { return marking_.table().size(); }},
                    {"maxFlows", "marker_flows_limit", "Capacity of the kernel's table (maxFlows).",
                     [this] { return marking_.table().capacity(); }},
                    {"adopted", "marker_adopted_flows",
                     "Flows in the kernel's table that were taken over from a predecessor and not announced again.",
                     [this] { return marking_.table().adopted(); }},
                    {"skippedFlows", "marker_skipped_flows_total", "Flows that were not put into the table.",
                     Counters::Source("reason",
                                      [this](const Counters::Visit& visit) {
                                          for (const auto& reason : TagTable::reasons)
                                              visit(reason.name, marking_.table().skipped().*reason.flows);
                                      })},
                }) {
    publish();
}

void Series::publish() {
    counters_.publish();
    std::map<Interface, std::unique_ptr<Counters>> present;
    for (const auto& state : marking_.attachments().states()) {
        const Interface interface(state.link.index, state.link.name);
        auto& counters = present[interface] = std::move(packets_[interface]);
        if (counters == nullptr)
            counters = std::make_unique<Counters>(
                host_,
                std::vector<Counters::Row>{{"", "marker_packets_total", "Outgoing packets by outcome.",
                                            Counters::Source("outcome",
                                                             [this, index = interface.first](const Counters::Visit& visit) {
                                                                 const auto outcomes = marking_.program().outcomes(index);
                                                                 for (std::uint32_t outcome = 0;
                                                                      outcomes && outcome < MARKER_OUTCOMES; ++outcome)
                                                                     visit(outcome_name(outcome), (*outcomes)[outcome]);
                                                             })}},
                Labels{{"interface", interface.second}});
        counters->publish();
    }
    packets_ = std::move(present);
    coverage_.publish();
}

}  // namespace flowd::marker
