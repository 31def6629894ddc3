// SPDX-License-Identifier: Apache-2.0
#include "core/service/flow_queries.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/config/tag_text.hpp"
#include "core/flows/flow_copies.hpp"
#include "core/service/status_json.hpp"
#include "flowd/json.hpp"
#include "flowd/nearest.hpp"
#include "flowd/number.hpp"
#include "flowd/protocol.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {

using Sort = FlowsRequest::Sort;
using Group = FlowsRequest::Group;

constexpr std::size_t max_groups = 10'000;
constexpr std::size_t max_observed = 100'000;

constexpr std::pair<std::string_view, Sort> sorts[] = {
    {"source", Sort::source}, {"destination", Sort::destination}, {"tag", Sort::tag},     {"age", Sort::age},
    {"sent", Sort::sent},     {"received", Sort::received},       {"bytes", Sort::bytes}, {"rate", Sort::rate},
    {"marked", Sort::marked}};
constexpr std::pair<std::string_view, Group> groups[] = {
    {"tag", Group::tag}, {"network", Group::network}, {"port", Group::port}, {"plugin", Group::plugin}};

template <typename Choices, typename Choice>
Result<void> choose(const Choices& choices, std::string_view key, std::string_view word, Choice& out) {
    std::vector<std::string> names;
    for (const auto& [name, choice] : choices) {
        if (name == word) return out = choice, Result<void>();
        names.emplace_back(name);
    }
    return Error{FLOWD_INVALID, std::string(key) + ": \"" + printable(word) + "\" is not one of " + join_words(names)};
}

template <typename Number>
Result<void> read_number(std::string_view key, std::string_view word, std::uint64_t most, Number& out) {
    const auto number = whole_number<std::uint64_t>(word);
    if (!number || *number > most)
        return Error{FLOWD_INVALID,
                     std::string(key) + ": \"" + printable(word) + "\" is not a number up to " + std::to_string(most)};
    out = static_cast<Number>(*number);
    return {};
}

Result<void> read_filter(std::string_view text, const Registry& registry, Filter::Of of, Filter& out) {
    auto filter = Filter::parse(text, TagNames(&registry), of);
    if (!filter) return std::move(filter).error().within("filter");
    out = std::move(*filter);
    return {};
}

Error unknown_word(std::string_view command, std::string_view word) {
    return Error{FLOWD_INVALID, std::string(command) + ": \"" + printable(word) + "\" is not an argument"};
}

std::uint64_t bytes_of(const flowd_flow& flow) {
    return flow.usage.bytes_sent + flow.usage.bytes_received;
}

double seconds_of(const flowd_flow& flow, std::int64_t now_ns) {
    return static_cast<double>((flow.end_time_ns != 0 ? flow.end_time_ns : now_ns) - flow.start_time_ns) / 1e9;
}

/// Bytes per second over the life of the flow; a flow of less than a second as if it had lasted one.
double rate_of(const flowd_flow& flow, std::int64_t now_ns) {
    return static_cast<double>(bytes_of(flow)) / std::max(seconds_of(flow, now_ns), 1.0);
}

/// Texts and addresses ascending, numbers descending; then by id, so that the order is stable.
class Order {
  public:
    Order(Sort sort, std::int64_t now_ns) : sort_(sort), now_ns_(now_ns) {}
    bool operator()(const flowd_flow& a, const flowd_flow& b) const {
        const int order = compare(a, b);
        return order != 0 ? order < 0 : a.flow_id < b.flow_id;
    }

  private:
    template <typename T>
    static int descending(const T& a, const T& b) {
        return a > b ? -1 : a < b ? 1 : 0;
    }
    static int ends(const std::uint8_t (&a)[16], std::uint16_t a_port, const std::uint8_t (&b)[16], std::uint16_t b_port) {
        const int order = std::memcmp(a, b, 16);
        return order != 0 ? order : int{a_port} - int{b_port};
    }
    [[nodiscard]] int compare(const flowd_flow& a, const flowd_flow& b) const {
        switch (sort_) {
            case Sort::source:
                return ends(a.key.source, a.key.source_port, b.key.source, b.key.source_port);
            case Sort::destination:
                return ends(a.key.destination, a.key.destination_port, b.key.destination, b.key.destination_port);
            case Sort::tag:
                return descending(std::pair(b.tag.experiment, b.tag.activity), std::pair(a.tag.experiment, a.tag.activity));
            case Sort::age:
                return descending(seconds_of(a, now_ns_), seconds_of(b, now_ns_));
            case Sort::sent:
                return descending(a.usage.bytes_sent, b.usage.bytes_sent);
            case Sort::received:
                return descending(a.usage.bytes_received, b.usage.bytes_received);
            case Sort::bytes:
                return descending(bytes_of(a), bytes_of(b));
            case Sort::rate:
                return descending(rate_of(a, now_ns_), rate_of(b, now_ns_));
            case Sort::marked:
                return descending(b.flags & FLOWD_MARKED, a.flags & FLOWD_MARKED);
            case Sort::none:
                break;
        }
        return 0;
    }
    Sort sort_;
    std::int64_t now_ns_;
};

struct Kept {
    flowd_flow flow;
    FlowTexts texts;
};

/// Calls f(flow) for all flows that match, until it returns false.
template <typename Function>
void for_each(const Services& services, const FlowsRequest& request, std::int64_t now_ns, Function&& f) {
    const flowd_flow_filter members = request.filter.members();
    std::uint64_t cursor = 0;
    bool more = true;
    const auto visit = [&](const flowd_flow& flow) {
        if (request.filter.matches(flow, now_ns)) more = f(flow);
        return more;
    };
    constexpr std::size_t all = static_cast<std::size_t>(-1);
    do {
        const flowd_result result = request.ended ? services.bus.page_ended(&members, cursor, all, visit)
                                                  : services.bus.page(&members, cursor, all, visit);
        if (result != FLOWD_OK) return;
    } while (more && cursor != 0);
}

struct GroupSums {
    std::uint64_t flows = 0, marked = 0, bytes_sent = 0, bytes_received = 0;
};

/// The network of the end that is not this host: /64 or, for IPv4, /24.
std::string network_of(const flowd_flow& flow) {
    const bool is_source = flow.local == FLOWD_LOCAL_DESTINATION;
    Address::Bytes bytes = (is_source ? source_of(flow.key) : destination_of(flow.key)).address.bytes();
    const std::uint8_t length = Address(bytes).is_v4() ? 120 : 64;
    std::fill(bytes.begin() + length / 8, bytes.end(), std::uint8_t{0});
    return Network{Address(bytes), length}.to_string();
}

/// The port of the service: that of the end that did not initiate the flow, otherwise the lower one.
std::string port_of(const flowd_flow& flow) {
    const std::uint16_t port = flow.initiator == FLOWD_INITIATOR_SOURCE ? flow.key.destination_port
                               : flow.initiator == FLOWD_INITIATOR_DESTINATION
                                   ? flow.key.source_port
                                   : std::min(flow.key.source_port, flow.key.destination_port);
    return protocol_name(flow.key.protocol) + "/" + std::to_string(port);
}

std::string group_of(Group group, const flowd_flow& flow, const Registry& registry) {
    if (group == Group::network) return network_of(flow);
    if (group == Group::port) return port_of(flow);
    if (group == Group::plugin) return std::string(to_view(flow.announcer));
    return experiment_text(flow.tag, registry) + "/" + activity_text(flow.tag, registry) +
           (is_unregistered(flow.tag, registry) ? " (unregistered)" : "");
}

void write_groups(json::Writer& w, const Services& services, const FlowsRequest& request, std::int64_t now_ns) {
    std::map<std::string, GroupSums> sums;
    std::uint64_t matched = 0;
    for_each(services, request, now_ns, [&](const flowd_flow& flow) {
        std::string name = group_of(request.group, flow, services.registries.current());
        if (sums.size() >= max_groups && sums.count(name) == 0) name = "other";
        GroupSums& sum = sums[name];
        ++matched;
        ++sum.flows;
        sum.marked += (flow.flags & FLOWD_MARKED) != 0 ? 1 : 0;
        sum.bytes_sent += flow.usage.bytes_sent;
        sum.bytes_received += flow.usage.bytes_received;
        return true;
    });
    std::vector<std::pair<std::string, GroupSums>> sorted(sums.begin(), sums.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
        const auto size = [](const GroupSums& sum) { return std::pair(sum.bytes_sent + sum.bytes_received, sum.flows); };
        return size(a.second) > size(b.second);
    });
    w.member("matched", matched).key("groups").array();
    for (std::size_t i = 0; i < std::min(sorted.size(), request.limit); ++i) {
        const auto& [name, sum] = sorted[i];
        w.object().member("group", name).member("flows", sum.flows).member("marked", sum.marked);
        w.member("bytesSent", sum.bytes_sent).member("bytesReceived", sum.bytes_received).end();
    }
    w.end();
}

void write_flows(json::Writer& w, const Services& services, const FlowsRequest& request, std::int64_t now_ns) {
    const Order before(request.sort, now_ns);
    const auto heap_order = [&](const Kept& a, const Kept& b) { return before(a.flow, b.flow); };
    // With an order: a heap with the last of the kept flows at its front.
    std::vector<Kept> kept;
    std::uint64_t matched = 0;
    for_each(services, request, now_ns, [&](const flowd_flow& flow) {
        ++matched;
        const bool is_sorted = request.sort != Sort::none;
        if (kept.size() == request.limit) {
            if (!is_sorted || kept.empty() || !before(flow, kept.front().flow)) return true;
            std::pop_heap(kept.begin(), kept.end(), heap_order);
            kept.pop_back();
        }
        kept.push_back({flow, FlowTexts(to_view(flow.application), to_view(flow.rule))});
        kept.back().texts.lend_to(kept.back().flow);
        if (is_sorted) std::push_heap(kept.begin(), kept.end(), heap_order);
        return true;
    });
    if (request.sort != Sort::none) std::sort_heap(kept.begin(), kept.end(), heap_order);
    w.member("matched", matched).key("flows").array();
    for (const Kept& one : kept) write_flow(w, one.flow, services.registries.current(), now_ns);
    w.end().member("shown", kept.size());
}

void write_observed(json::Writer& w, const flowd_observed& one, const Registry& registry) {
    w.object().member("sequence", one.sequence).member("time", utc_text(one.time_ns, Fraction::microseconds));
    w.member("event", observed_kind_name(one.kind));
    if (one.flow != nullptr) {
        if (one.kind == FLOWD_OBSERVED_RETAG)
            w.member("formerExperiment", experiment_text(one.former_tag, registry))
                .member("formerActivity", activity_text(one.former_tag, registry));
        w.key("flow");
        write_flow(w, *one.flow, registry, one.time_ns);
    } else {
        w.member("instance", to_view(one.instance)).member("reason", to_view(one.reason));
        w.member("sender", escaped(to_view(one.sender))).member("firstBytes", escaped(to_view(one.first)));
        if (one.suppressed > 0) w.member("suppressed", one.suppressed);
    }
    w.end();
}

}  // namespace

Result<FlowsRequest> FlowsRequest::from(std::span<const std::string> words, const Registry& registry) {
    FlowsRequest request;
    for (const std::string& word : words) {
        const std::size_t mark = word.find('=');
        const std::string_view key = std::string_view(word).substr(0, mark);
        const std::string_view value =
            mark == std::string::npos ? std::string_view() : std::string_view(word).substr(mark + 1);
        Result<void> done;
        if (word == "ended")
            request.ended = true;
        else if (mark == std::string::npos)
            done = read_number("flows", word, max_limit, request.limit);
        else if (key == "sort")
            done = choose(sorts, key, value, request.sort);
        else if (key == "summary")
            done = choose(groups, key, value, request.group);
        else if (key == "filter")
            done = read_filter(value, registry, Filter::Of::flows, request.filter);
        else
            done = unknown_word("flows", word);
        if (!done) return std::move(done).error();
    }
    return request;
}

std::string flows_json(const Services& services, const FlowsRequest& request) {
    std::string out;
    json::Writer w(out);
    const std::int64_t now_ns = unix_ns();
    w.object().member("live", services.bus.count());
    if (request.ended) w.member("ended", services.bus.count_ended());
    if (request.group != Group::none)
        write_groups(w, services, request, now_ns);
    else
        write_flows(w, services, request, now_ns);
    w.end();
    return out;
}

Result<ObserveRequest> ObserveRequest::from(std::span<const std::string> words, const Registry& registry) {
    ObserveRequest request;
    for (const std::string& word : words) {
        const std::size_t mark = std::min(word.find('='), word.size());
        const std::string_view key = std::string_view(word).substr(0, mark);
        const std::string_view value = std::string_view(word).substr(std::min(mark + 1, word.size()));
        Result<void> done;
        if (key == "after")
            done = read_number(key, value, ~std::uint64_t{0}, request.position);
        else if (key == "last")
            done = read_number(key, value, max_observed, request.last.emplace());
        else if (key == "limit")
            done = read_number(key, value, max_observed, request.limit);
        else if (key == "filter")
            done = read_filter(value, registry, Filter::Of::events, request.filter);
        else
            done = unknown_word("observe", word);
        if (!done) return std::move(done).error();
    }
    return request;
}

Result<std::string> observe_json(const Services& services, const ObserveRequest& request) {
    std::deque<std::string> events;
    std::uint64_t position = request.position, lost = 0;
    const std::size_t limit = request.last ? max_observed : request.limit;
    const flowd_result result = services.bus.read_events(position, limit, lost, [&](const flowd_observed& one) {
        if (!request.filter.matches(one)) return true;
        json::Writer w(events.emplace_back());
        write_observed(w, one, services.registries.current());
        if (request.last && events.size() > *request.last) events.pop_front();
        return true;
    });
    if (result != FLOWD_OK)
        return Error{result, "after: this is not a position of this daemon", "begin without a position"};
    std::string out;
    json::Writer w(out);
    w.object().key("events").array();
    for (const std::string& event : events) w.raw(event);
    w.end().member("lost", lost).member("next", position).end();
    return out;
}

}  // namespace flowd::core
