// SPDX-License-Identifier: Apache-2.0
#include "backends/marker/series.hpp"

#include <cstddef>

namespace flowd::marker {

Series::Series(Host& host)
    : host_(host),
      flows_(host.gauge("marker_flows", "Flows in the kernel's table.")),
      adopted_(host.gauge("marker_adopted_flows", "Of these: taken over from a predecessor and not announced again.")),
      capacity_(host.gauge("marker_flows_limit", "Flows that the kernel's table takes (maxFlows).")) {
    for (std::size_t i = 0; i < skipped_.size(); ++i)
        skipped_[i] = host.counter("marker_skipped_flows_total", "Flows that were not put into the table.",
                                   {{"reason", TagTable::reasons[i].name}});
}

void Series::publish(const Marking& marking) {
    const TagTable& table = marking.table();
    flows_.set(table.size());
    adopted_.set(static_cast<double>(table.adopted()));
    capacity_.set(table.capacity());
    for (std::size_t i = 0; i < skipped_.size(); ++i)
        skipped_[i].set_total(static_cast<double>(table.skipped().*TagTable::reasons[i].flows));
    publish_packets(marking);
}

void Series::publish_packets(const Marking& marking) {
    std::map<Interface, std::vector<Counter>> present;
    for (const auto& state : marking.attachments().states()) {
        const Interface interface(state.link.index, state.link.name);
        const auto known = packets_.find(interface);
        auto& counters = present[interface];
        if (known != packets_.end()) counters = std::move(known->second);
        for (auto outcome = static_cast<std::uint32_t>(counters.size()); outcome < MARKER_OUTCOMES; ++outcome)
            counters.push_back(host_.counter("marker_packets_total", "Packets that left, by what became of them.",
                                             {{"interface", state.link.name}, {"outcome", outcome_name(outcome)}}));
        const auto outcomes = marking.program().outcomes(state.link.index);
        if (!outcomes) continue;
        for (std::size_t outcome = 0; outcome < counters.size(); ++outcome)
            counters[outcome].set_total(static_cast<double>((*outcomes)[outcome]));
    }
    packets_ = std::move(present);
}

}  // namespace flowd::marker
