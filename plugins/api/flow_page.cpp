// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/flow_page.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <type_traits>

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

Result<PageRequest> PageRequest::from(std::string_view query, const Registry& registry) {
    PageRequest request;
    flowd_flow_filter& filter = request.filter;
    filter.size = sizeof filter;
    std::string wrong, activity;
    const auto numbered = [](std::string_view value, std::uint64_t lowest, std::uint64_t highest, auto& to) {
        const auto given = number(value);
        if (!given || *given < lowest || *given > highest) return false;
        to = static_cast<std::remove_reference_t<decltype(to)>>(*given);
        return true;
    };
    const auto named = [&](std::string_view value, std::uint32_t& to, const std::optional<std::uint32_t>& known) {
        if (numbered(value, 0, 0xffff'ffff, to)) return true;
        if (known) to = *known;
        return known.has_value();
    };
    const auto refuse = [&](std::string_view name, std::string_view why) {
        wrong.append(name).append(": ").append(why);
        return false;
    };
    const bool good = http::each_parameter(query, [&](std::string_view name, std::string_view value) {
        if (name == "limit")
            return numbered(value, 1, most, request.limit) ||
                   refuse(name, "is not a number from 1 to " + std::to_string(most));
        if (name == "cursor")
            return numbered(value, 0, ~std::uint64_t{0}, request.cursor) || refuse(name, "is not a number");
        if (name == "experiment") {
            filter.members |= FLOWD_FILTER_EXPERIMENT;
            return named(value, filter.tag.experiment, registry.experiment_id(value)) ||
                   refuse(name, "is neither a number nor a name of the registry");
        }
        if (name == "activity") {
            filter.members |= FLOWD_FILTER_ACTIVITY;
            activity = value;  // the id of a name may depend on the experiment, which may follow
            return true;
        }
        if (name == "network") {
            filter.members |= FLOWD_FILTER_NETWORK;
            const auto network = Network::parse(value);
            if (!network) return refuse(name, "is not an address or a prefix");
            std::copy_n(network->address.bytes().begin(), 16, filter.network);
            filter.prefix_length = network->length;
            return true;
        }
        if (name == "port") {
            filter.members |= FLOWD_FILTER_PORT;
            return numbered(value, 0, 65535, filter.port) || refuse(name, "is not a number from 0 to 65535");
        }
        if (name == "protocol") {
            filter.members |= FLOWD_FILTER_PROTOCOL;
            filter.protocol = value == "tcp" ? IPPROTO_TCP : IPPROTO_UDP;
            return value == "tcp" || value == "udp" || numbered(value, 1, 255, filter.protocol) ||
                   refuse(name, "is not tcp, udp or a number from 1 to 255");
        }
        if (name == "announcer") {
            filter.members |= FLOWD_FILTER_ANNOUNCER;
            request.announcer = value;
            return true;
        }
        return refuse(name, "is not known");
    });
    if (good && (filter.members & FLOWD_FILTER_ACTIVITY) != 0) {
        const bool has_experiment = (filter.members & FLOWD_FILTER_EXPERIMENT) != 0;
        if (!named(activity, filter.tag.activity,
                   has_experiment ? registry.activity_id(filter.tag.experiment, activity) : std::nullopt))
            refuse("activity", has_experiment ? "is neither a number nor a name of that experiment in the registry"
                                              : "is not a number; its name needs an experiment");
    }
    if (!wrong.empty())
        return Error{FLOWD_INVALID, wrong,
                     "the parameters are limit, cursor, experiment, activity, network, port, protocol and announcer"};
    return request;
}

Result<std::string> flow_page(const LiveFlows& table, const PageRequest& request) {
    std::string out;
    json::Writer writer(out);
    writer.object().member("live", table.count());
    writer.key("flows").array();
    std::uint64_t cursor = request.cursor;
    flowd_flow_filter filter = request.filter;
    filter.announcer = to_c(request.announcer);
    const auto done = table.page(filter.members == 0 ? nullptr : &filter, cursor, request.limit,
                                 [&](const flowd_flow& flow) { write_flow(writer, flow); });
    if (!done) return Error{done.error().code, "cursor: is not the `next` of a page", "begin without a cursor"};
    writer.end();
    if (cursor != 0) writer.member("next", std::to_string(cursor));
    writer.end();
    out.push_back('\n');
    return out;
}

}  // namespace flowd::api
