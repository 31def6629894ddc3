// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/event_streams.hpp"

#include <chrono>
#include <utility>

#include "flowd/number.hpp"
#include "lib/http/query.hpp"
#include "plugins/api/flow_page.hpp"

namespace flowd::api {
namespace {

constexpr std::chrono::milliseconds turn_interval{200};
constexpr unsigned turns_between_lines = 50;  // a line every 10 s shows that the connection is open
constexpr std::string_view lines = "application/x-ndjson";

template <typename Number>
[[nodiscard]] bool number_up_to(std::string_view text, std::uint64_t most, Number& out) {
    const auto number = whole_number<std::uint64_t>(text);
    if (!number || *number > most) return false;
    out = static_cast<Number>(*number);
    return true;
}

}  // namespace

Result<EventsRequest> EventsRequest::from(std::string_view query, const Registry& registry) {
    EventsRequest request;
    std::optional<Error> wrong;
    http::each_parameter(query, [&](std::string_view name, std::string_view value) {
        const auto refuse = [&](std::string_view why) {
            wrong = Error{FLOWD_INVALID, std::string(name) + ": " + std::string(why),
                          "the parameters are after, last, follow and filter"};
            return false;
        };
        if (name == "after") return number_up_to(value, ~std::uint64_t{0}, request.position) || refuse("is not a number");
        if (name == "last")
            return number_up_to(value, most, request.last) || refuse("is not a number up to " + std::to_string(most));
        if (name == "follow") {
            request.follow = value == "yes";
            return value == "yes" || value == "no" || refuse("is neither yes nor no");
        }
        if (name != "filter") return refuse("is not known");
        auto parsed = Filter::parse(value, TagNames(registry), Filter::Of::events);
        if (!parsed) return wrong = std::move(parsed).error().within("filter"), false;
        request.filter = std::move(*parsed);
        return true;
    });
    if (wrong) return *std::move(wrong);
    return request;
}

Result<void> EventStreams::read(EventsRequest& request, std::size_t limit, std::string& out) {
    std::string events;
    const auto lost = events_.read(request.position, limit, [&](const flowd_observed& observed) {
        if (!request.filter.matches(observed)) return;
        json::Writer line(events);
        write_observed(line, observed);
        events.push_back('\n');
    });
    if (!lost) return lost.error();
    lost_ += *lost;
    if (*lost > 0) {
        json::Writer(out).object().member("lost", *lost).end();
        out.push_back('\n');
    }
    out += events;
    return {};
}

Result<std::optional<http::Response>> EventStreams::serve(EventsRequest request, http::Reply& reply) {
    if (request.follow && streams_.size() >= most) return Error{FLOWD_LIMIT, "there are too many streams of events"};
    std::string body;
    if (request.position == 0) {
        // Fewer may be kept than were asked for.
        std::uint64_t oldest = 0;
        if (auto done = events_.read(oldest, 0, [](const flowd_observed&) {}); !done) return std::move(done).error();
        const std::uint64_t next = events_.next();
        request.position = std::max(next - std::min<std::uint64_t>(request.last, next), oldest);
    }
    if (auto done = read(request, EventsRequest::most, body); !done) return std::move(done).error();
    if (!request.follow) {
        json::Writer(body).object().member("next", request.position).end();
        body.push_back('\n');
        return std::optional(http::Response{.content_type = lines, .body = std::move(body)});
    }
    http::Stream stream = reply.stream({.content_type = lines});
    if (!stream.is_open()) return std::optional<http::Response>();
    if (!body.empty()) stream.write(body);
    streams_.push_back({std::move(stream), std::move(request)});
    if (!timer_) {
        auto timer = host_.every(turn_interval, [this] { turn(); });
        if (!timer) return std::move(timer).error();
        timer_ = std::move(*timer);
    }
    return std::optional<http::Response>();
}

void EventStreams::turn() {
    for (auto at = streams_.begin(); at != streams_.end();) {
        Open& one = *at;
        if (!one.stream.is_open()) {
            at = streams_.erase(at);
            continue;
        }
        ++at;
        if (one.stream.pending() > most_pending) continue;
        std::string out;
        (void)read(one.request, events_per_turn, out);
        if (out.empty() && ++one.quiet_turns < turns_between_lines) continue;
        if (out.empty()) {
            json::Writer(out).object().member("next", one.request.position).end();
            out.push_back('\n');
        }
        one.quiet_turns = 0;
        one.stream.write(out);
    }
    if (streams_.empty()) timer_.reset();
}

void EventStreams::stop() {
    timer_.reset();
    streams_.clear();
}

}  // namespace flowd::api
