// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/flow_page.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "flowd/json.hpp"
#include "lib/firefly/timestamp.hpp"
#include "lib/http/query.hpp"

namespace flowd::api {
namespace {

struct Kept {
    flowd_flow flow;
    std::string application;
    friend bool operator<(const Kept& a, const Kept& b) { return a.flow.flow_id < b.flow.flow_id; }
};

/// The `limit` flows with the smallest ids behind `after`, and one more to tell whether others follow.
[[nodiscard]] std::vector<Kept> smallest(const FlowTable& table, const PageRequest& request) {
    std::vector<Kept> heap;
    (void)table.visit([&](const flowd_flow& flow) {
        if (flow.flow_id <= request.after) return;
        if (heap.size() == request.limit + 1) {
            if (flow.flow_id >= heap.front().flow.flow_id) return;
            std::pop_heap(heap.begin(), heap.end());
            heap.pop_back();
        }
        heap.push_back({flow, std::string(to_view(flow.application))});
        std::push_heap(heap.begin(), heap.end());
    });
    std::sort_heap(heap.begin(), heap.end());
    return heap;
}

void write_end(json::Writer& writer, std::string_view name, const Endpoint& end) {
    writer.key(name).object().member("address", end.address.to_string()).member("port", end.port).end();
}

void write_time(json::Writer& writer, std::string_view name, std::int64_t ns) {
    std::array<char, firefly::timestamp_length> text{};
    writer.member(name, firefly::print_timestamp(ns, text));
}

void write_protocol(json::Writer& writer, std::uint8_t protocol) {
    writer.key("protocol");
    if (protocol == IPPROTO_TCP)
        writer.value("tcp");
    else if (protocol == IPPROTO_UDP)
        writer.value("udp");
    else
        writer.value(std::to_string(protocol));
}

void write_flow(json::Writer& writer, const Kept& kept) {
    const flowd_flow& flow = kept.flow;
    writer.object().member("id", flow.flow_id);
    write_protocol(writer, flow.key.protocol);
    write_end(writer, "source", source_of(flow.key));
    write_end(writer, "destination", destination_of(flow.key));
    writer.member("experiment", flow.tag.experiment).member("activity", flow.tag.activity);
    write_time(writer, "startTime", flow.start_time_ns);
    write_time(writer, "seenTime", flow.seen_time_ns);
    writer.member("announcers", flow.announcers);
    if (!kept.application.empty()) writer.member("application", kept.application);
    if (flow.usage.known != 0)
        writer.key("usage")
            .object()
            .member("bytesSent", flow.usage.bytes_sent)
            .member("bytesReceived", flow.usage.bytes_received)
            .member("packetsSent", flow.usage.packets_sent)
            .member("packetsReceived", flow.usage.packets_received)
            .end();
    writer.end();
}

[[nodiscard]] std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

Result<PageRequest> PageRequest::from(std::string_view query) {
    PageRequest request;
    std::string wrong;
    const bool good = http::each_parameter(query, [&](std::string_view name, std::string_view value) {
        const auto given = number(value);
        if (name == "limit" && given && *given >= 1 && *given <= most) {
            request.limit = static_cast<std::size_t>(*given);
            return true;
        }
        if (name == "after" && given) {
            request.after = *given;
            return true;
        }
        wrong = name == "limit"   ? "limit: is no number from 1 to " + std::to_string(most)
                : name == "after" ? "after: is no id of a flow"
                                  : std::string(name) + ": is not known";
        return false;
    });
    if (!good) return Error{FLOWD_INVALID, wrong, "limit and after are the parameters"};
    return request;
}

std::string flow_page(const FlowTable& table, const PageRequest& request) {
    const std::vector<Kept> flows = smallest(table, request);
    std::string out;
    json::Writer writer(out);
    writer.object().member("live", table.count());
    writer.key("flows").array();
    const std::size_t shown = std::min(flows.size(), request.limit);
    for (std::size_t i = 0; i < shown; ++i) write_flow(writer, flows[i]);
    writer.end();
    if (flows.size() > shown) writer.member("next", flows[shown - 1].flow.flow_id);
    writer.end();
    out.push_back('\n');
    return out;
}

}  // namespace flowd::api
