// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/flow_page.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <optional>
#include <type_traits>

#include "flowd/json.hpp"
#include "flowd/number.hpp"
#include "flowd/protocol.hpp"
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

void write_flow(json::Writer& writer, const flowd_flow& flow) {
    writer.object().member("id", flow.flow_id);
    writer.member("protocol", protocol_name(flow.key.protocol));
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
    writer.member("marked", (flow.flags & FLOWD_MARKED) != 0);
    if (flow.end_time_ns != 0) {
        write_time(writer, "endTime", flow.end_time_ns);
        writer.member("endReason", end_reason_name(flow.end_reason));
    }
    writer.end();
}

/// Calls `page` until `limit` flows have matched or one call's share of the table is examined.
template <typename Page>
[[nodiscard]] Result<std::uint64_t> write_flows(json::Writer& writer, const PageRequest& request, Page&& page) {
    flowd_flow_filter filter = request.filter.members == 0 ? request.terms.members() : request.filter;
    filter.announcer = to_c(request.announcer);
    const std::int64_t now_ns = unix_time_ns();
    std::uint64_t cursor = request.cursor;
    std::size_t written = 0;
    constexpr std::size_t all = static_cast<std::size_t>(-1);
    writer.key("flows").array();
    const auto done = page(filter.members == 0 ? nullptr : &filter, cursor, request.terms.empty() ? request.limit : all,
                           [&](const flowd_flow& flow) {
                               if (!request.terms.matches(flow, now_ns)) return true;
                               write_flow(writer, flow);
                               return ++written < request.limit;
                           });
    if (!done) return Error{done.error().code, "cursor: is not the `next` of a page", "begin without a cursor"};
    writer.end();
    return cursor;
}

}  // namespace

Result<PageRequest> PageRequest::from(std::string_view query, const Registry& registry) {
    PageRequest request;
    flowd_flow_filter& filter = request.filter;
    filter.size = sizeof filter;
    std::string wrong, activity;
    std::string hint =
        "the parameters are limit, cursor, filter, experiment, activity, network, port, protocol and announcer";
    const auto numbered = [](std::string_view value, std::uint64_t lowest, std::uint64_t highest, auto& to) {
        const auto given = whole_number<std::uint64_t>(value);
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
            filter.protocol = parse_protocol(value).value_or(0);
            return filter.protocol != 0 || refuse(name, "is not tcp, udp, sctp, icmp, icmpv6 or a number from 1 to 255");
        }
        if (name == "announcer") {
            filter.members |= FLOWD_FILTER_ANNOUNCER;
            request.announcer = value;
            return true;
        }
        if (name != "filter") return refuse(name, "is not known");
        auto parsed = Filter::parse(value, TagNames(registry));
        if (!parsed) {
            wrong = "filter: " + parsed.error().message;
            hint = parsed.error().hint;
            return false;
        }
        request.terms = std::move(*parsed);
        return true;
    });
    if (good && (filter.members & FLOWD_FILTER_ACTIVITY) != 0) {
        const bool has_experiment = (filter.members & FLOWD_FILTER_EXPERIMENT) != 0;
        if (!named(activity, filter.tag.activity,
                   has_experiment ? registry.activity_id(filter.tag.experiment, activity) : std::nullopt))
            refuse("activity", has_experiment ? "is neither a number nor a name of that experiment in the registry"
                                              : "is not a number; its name needs an experiment");
    }
    if (!wrong.empty()) return Error{FLOWD_INVALID, wrong, hint};
    return request;
}

Result<std::string> flow_page(const LiveFlows& table, const PageRequest& request) {
    std::string out;
    json::Writer writer(out);
    writer.object().member("live", table.count());
    const auto next =
        write_flows(writer, request, [&](const flowd_flow_filter* filter, auto& cursor, auto limit, auto visitor) {
            return table.page(filter, cursor, limit, visitor);
        });
    if (!next) return next.error();
    if (*next != 0) writer.member("next", std::to_string(*next));
    writer.end();
    out.push_back('\n');
    return out;
}

Result<std::string> history_page(const History& history, const PageRequest& request) {
    std::string out;
    json::Writer writer(out);
    writer.object().member("ended", history.count());
    const auto next =
        write_flows(writer, request, [&](const flowd_flow_filter* filter, auto& cursor, auto limit, auto visitor) {
            return history.page(filter, cursor, limit, visitor);
        });
    if (!next) return next.error();
    if (*next != 0) writer.member("next", std::to_string(*next));
    writer.end();
    out.push_back('\n');
    return out;
}

Result<std::string> minutes_page(const History& history, std::string_view query) {
    std::int64_t from_ns = 0;
    std::string wrong;
    http::each_parameter(query, [&](std::string_view name, std::string_view value) {
        if (name != "from") return wrong = std::string(name) + ": is not known", false;
        const auto time = firefly::parse_timestamp(value);
        if (!time) return wrong = "from: is not a time in the form of RFC 3339", false;
        from_ns = *time;
        return true;
    });
    if (!wrong.empty()) return Error{FLOWD_INVALID, wrong, "from=2026-11-26T10:00:00Z is the only parameter"};
    constexpr std::array<std::string_view, 5> directions{"unknown", "out", "in", "local", "transit"};
    std::string out;
    json::Writer writer(out);
    writer.object().key("minutes").array();
    const auto done = history.minutes(from_ns, [&](const flowd_minute& minute) {
        writer.object();
        write_time(writer, "time", minute.time_ns);
        if (minute.tag.experiment == FLOWD_TAG_OTHER && minute.tag.activity == FLOWD_TAG_OTHER)
            writer.member("other", true);
        else
            writer.member("experiment", minute.tag.experiment).member("activity", minute.tag.activity);
        writer.member("direction", directions[minute.local < directions.size() ? minute.local : 0]);
        writer.member("started", minute.started).member("ended", minute.ended);
        writer.member("bytesSent", minute.bytes_sent).member("bytesReceived", minute.bytes_received).end();
    });
    if (!done) return done.error();
    writer.end().end();
    out.push_back('\n');
    return out;
}

void write_observed(json::Writer& writer, const flowd_observed& observed) {
    writer.object().member("sequence", observed.sequence);
    write_time(writer, "time", observed.time_ns);
    writer.member("event", observed_kind_name(observed.kind));
    if (observed.flow != nullptr) {
        if (observed.kind == FLOWD_OBSERVED_RETAG)
            writer.key("former")
                .object()
                .member("experiment", observed.former_tag.experiment)
                .member("activity", observed.former_tag.activity)
                .end();
        writer.key("flow");
        write_flow(writer, *observed.flow);
    } else {
        writer.member("instance", to_view(observed.instance)).member("reason", to_view(observed.reason));
        writer.member("sender", printable(to_view(observed.sender)));
        writer.member("firstBytes", printable(to_view(observed.first)));
        if (observed.suppressed > 0) writer.member("suppressed", observed.suppressed);
    }
    writer.end();
}

}  // namespace flowd::api
