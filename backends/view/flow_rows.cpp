// SPDX-License-Identifier: Apache-2.0
#include "backends/view/flow_rows.hpp"

#include <netinet/in.h>

#include <tuple>

#include "flowd/filter.hpp"
#include "flowd/key.hpp"
#include "flowd/protocol.hpp"

namespace flowd::view {

FlowRow FlowRow::of(const flowd_flow& flow, const Rate& rate) {
    FlowRow row;
    row.id = flow.flow_id;
    row.key = flow.key;
    row.tag = flow.tag;
    row.start_ns = flow.start_time_ns;
    row.seen_ns = flow.seen_time_ns;
    row.end_ns = flow.end_time_ns;
    row.bytes_sent = flow.usage.bytes_sent;
    row.bytes_received = flow.usage.bytes_received;
    row.end_reason = flow.end_reason;
    row.has_bytes = (flow.usage.known & FLOWD_USAGE_BYTES) != 0;
    row.is_marked = (flow.flags & FLOWD_MARKED) != 0;
    row.rate = rate;
    row.announcer = to_view(flow.announcer);
    row.rule = to_view(flow.rule);
    row.application = to_view(flow.application);
    return row;
}

bool FlowRow::same_as(const FlowRow& other) const {
    const auto shown = [](const FlowRow& row) {
        return std::tie(row.tag.experiment, row.tag.activity, row.seen_ns, row.bytes_sent, row.bytes_received,
                        row.is_marked, row.rate, row.announcer, row.rule, row.application);
    };
    return shown(*this) == shown(other);
}

void write_row(json::Writer& writer, const FlowRow& row, const Registry& registry) {
    const Endpoint source = source_of(row.key), destination = destination_of(row.key);
    writer.array().value(std::to_string(row.id)).value(protocol_name(row.key.protocol));
    writer.value(source.address.to_string()).value(source.port);
    writer.value(destination.address.to_string()).value(destination.port);
    writer.value(row.tag.experiment).value(row.tag.activity);
    writer.value(registry.experiment_name(row.tag.experiment));
    writer.value(registry.activity_name(row.tag.experiment, row.tag.activity));
    writer.value(row.start_ns / ns_per_ms).value(row.seen_ns / ns_per_ms).value(row.end_ns / ns_per_ms);
    if (row.has_bytes)
        writer.value(row.bytes_sent).value(row.bytes_received);
    else
        writer.value(nullptr).value(nullptr);
    writer.value(static_cast<std::uint64_t>(row.rate.sent)).value(static_cast<std::uint64_t>(row.rate.received));
    writer.value(row.announcer).value(row.rule).value(row.application).value(row.is_marked);
    writer.value(row.end_ns == 0 ? std::string_view() : end_reason_name(row.end_reason));
    writer.end();
}

}  // namespace flowd::view
