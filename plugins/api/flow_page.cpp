// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/flow_page.hpp"

#include <array>
#include <charconv>
#include <optional>

#include "flowd/json.hpp"
#include "flowd/sized.hpp"
#include "lib/firefly/timestamp.hpp"
#include "lib/http/query.hpp"

namespace flowd::api {
namespace {

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

void write_flow(json::Writer& writer, const flowd_flow& flow) {
    writer.object().member("id", flow.flow_id);
    write_protocol(writer, flow.key.protocol);
    write_end(writer, "source", source_of(flow.key));
    write_end(writer, "destination", destination_of(flow.key));
    writer.member("experiment", flow.tag.experiment).member("activity", flow.tag.activity);
    write_time(writer, "startTime", flow.start_time_ns);
    write_time(writer, "seenTime", flow.seen_time_ns);
    writer.member("announcers", flow.announcers);
    if (flow.announcer.length != 0) writer.member("announcer", to_view(flow.announcer));
    if (flow.rule.length != 0) writer.member("rule", to_view(flow.rule));
    if (flow.application.length != 0) writer.member("application", to_view(flow.application));
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
        if (name == "cursor" && given) {
            request.cursor = *given;
            return true;
        }
        wrong = name == "limit"    ? "limit: is not a number from 1 to " + std::to_string(most)
                : name == "cursor" ? "cursor: is not a number"
                                   : std::string(name) + ": is not known";
        return false;
    });
    if (!good) return Error{FLOWD_INVALID, wrong, "limit and cursor are the parameters"};
    return request;
}

Result<std::string> flow_page(const FlowTable& table, const PageRequest& request) {
    std::string out;
    json::Writer writer(out);
    writer.object().member("live", table.count());
    writer.key("flows").array();
    std::uint64_t cursor = request.cursor;
    const auto done = table.page(nullptr, cursor, request.limit, [&](const flowd_flow& flow) { write_flow(writer, flow); });
    if (!done) return Error{done.error().code, "cursor: is not the `next` of a page", "begin without a cursor"};
    writer.end();
    if (cursor != 0) writer.member("next", std::to_string(cursor));
    writer.end();
    out.push_back('\n');
    return out;
}

}  // namespace flowd::api
