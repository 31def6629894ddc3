// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/api.hpp"

#include <boost/asio/post.hpp>
#include <chrono>
#include <functional>
#include <utility>

#include "lib/http/listening.hpp"
#include "lib/http/problem.hpp"
#include "lib/http/query.hpp"
#include "lib/text/summary.hpp"
#include "lib/text/words.hpp"
#include "plugins/api/openapi.hpp"
#include "plugins/api/peer_forms.hpp"

namespace flowd::api {
namespace {

/// The id of the sender, for flows.maxPerSource.
[[nodiscard]] std::uint64_t sender_of(const Host& host, const http::Peer& peer) {
    return peer.user ? host.sender_id_of_user(*peer.user) : host.sender_id(peer.endpoint.address);
}

/// "application/json; charset=utf-8" and "application/vnd.x+json" are JSON.
[[nodiscard]] bool is_json(std::string_view type) {
    type = type.substr(0, type.find(';'));
    while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
    return text::same_word(type, "application/json") ||
           (type.size() > 5 && text::same_word(type.substr(type.size() - 5), "+json"));
}

[[nodiscard]] http::Response bad_request(const Error& error) {
    return http::problem(400, {.detail = error.message, .hint = error.hint});
}

[[nodiscard]] std::optional<http::Response> not_json(const http::Request& request) {
    if (is_json(request.content_type)) return std::nullopt;
    return http::problem(415, {.detail = "the body has to be JSON", .hint = "send Content-Type: application/json"});
}

/// When an announcement is answered, by its query.
[[nodiscard]] Result<Announcer::Wait> wait_of(const http::Request& request) {
    auto wait = Announcer::Wait::accepted;
    std::string wrong;
    const bool good = http::each_parameter(request.query, [&](std::string_view name, std::string_view value) {
        const bool known = name == "wait" && value == "taken";
        if (known)
            wait = Announcer::Wait::taken;
        else
            wrong = std::string(name) + (name == "wait" ? ": is not `taken`" : ": is not known");
        return known;
    });
    if (!good) return Error{FLOWD_INVALID, wrong, "wait=taken is the only parameter"};
    return wait;
}

}  // namespace

const std::array<Api::Route, 10> Api::routes{{
    {"POST", "/flow", "announces one flow or several; none if one cannot be read", &Api::post_flow},
    {"POST", "/flows", "announces flows, each of which is answered", &Api::post_flows},
    {"GET", "/flows", "the live flows", &Api::get_flows},
    {"GET", "/history", "the last ended flows", &Api::get_history},
    {"GET", "/history/minutes", "sums per minute", &Api::get_minutes},
    {"GET", "/events", "what happens to flows, one JSON object per line", &Api::get_events},
    {"GET", "/", "this list", &Api::get_root},
    {"GET", "/openapi.json", "the description of this API", &Api::get_openapi},
    {"GET", "/dummy/start", "starts a flow from [::1]:2345 to [::1]:5777", &Api::get_dummy_start},
    {"GET", "/dummy/end", "ends it", &Api::get_dummy_end},
}};

Api::Api(Host& host, Options options)
    : Plugin(host),
      options_(std::move(options)),
      loop_(host),
      reader_(host.registry()),
      entrance_(host, options_),
      announcer_(host, options_.full_timeout, options_.taken_timeout, late_answer(),
                 [this](std::function<void()> handler) { boost::asio::post(loop_.context(), std::move(handler)); }),
      streams_(host),
      counters_(
          host,
          {
              {"connections", "api_connections", "Open connections.",
               [this] { return server_ ? server_->connections() : 0; }},
              {"accepted", "api_connections_total", "Connections accepted.", [this] { return served().connections; }},
              {"overCap", "api_connections_over_cap_total", "Connections answered 503 because there were too many.",
               [this] { return served().turned_away(); }},
              {"notAccepted", "api_connections_not_accepted_total",
               "Failed calls of accept(2), because no descriptor was left; the connections wait.",
               [this] { return served().not_accepted; }},
              {"timedOut", "api_timeouts_total", "Connections closed because the client took too long.",
               [this] { return served().timed_out; }},
              {"requests", [this] { return served().requests; }},
              {"malformed", "api_malformed_total", "Requests that were not valid HTTP.",
               [this] { return served().malformed; }},
              {"failed", [this] { return served().failed; }},
              {"answers", "api_responses_total", "Requests answered, by status code.",
               Counters::Source("code",
                                [this](const Counters::Visit& visit) {
                                    for (const auto& [code, count] : answers_) visit(std::to_string(code), count);
                                })},
              {"announced", "api_events_total", "Flow events announced, by state.",
               Counters::by("state", Outbox::kinds, announcer_.outbox().taken(), 1)},
              {"notTaken", "api_not_taken_total", "Valid events that the core refused.", &announcer_.outbox().refused()},
              {"eventStreams", "api_event_streams", "Open streams of events.", [this] { return streams_.open(); }},
              {"eventsLost", "api_events_lost_total", "Events that clients of streams have lost.",
               [this] { return streams_.lost(); }},
              {"waiting", [this] { return announcer_.waiting(); }},
              {"waited", "api_waited_total", "Requests that waited because the queues were full.",
               [this] { return announcer_.waited(); }},
              {"full", "api_full_total", "Requests answered 503 because the queues were full.",
               [this] { return announcer_.full(); }},
              {"waitingTaken", [this] { return announcer_.delivery().waiting(); }},
              {"waitedTaken", "api_waited_taken_total", "Requests that waited for every backend to take them.",
               [this] { return announcer_.delivery().waited(); }},
              {"notTakenInTime", "api_not_taken_in_time_total",
               "Requests answered 504 because a backend had not taken them.",
               [this] { return announcer_.delivery().timed_out(); }},
          }) {}

Result<void> Api::prepare() {
    if (options_.listens_at_tcp()) {
        auto socket = entrance_.open_tcp(options_.bind_port, "bindPort");
        if (!socket) return std::move(socket).error();
        listening_.push_back(std::move(*socket));
    }
    if (options_.socket_path) {
        auto socket =
            entrance_.open_unix(*options_.socket_path, http::mode_of(options_.socket_mode).value_or(0660), "socketPath");
        if (!socket) return std::move(socket).error();
        listening_.push_back(std::move(*socket));
    }
    return {};
}

Result<void> Api::start() {
    server_.emplace(
        loop_.context(), options_.limits(options_.max_body),
        [this](const http::Request& request, http::Reply reply) {
            if (auto response = answer(request, reply)) send(std::move(reply), std::move(*response));
        },
        entrance_.refusals());
    for (UniqueFd& socket : listening_)
        if (auto served = server_->serve(std::move(socket)); !served) return served;
    listening_.clear();
    if (auto done = publisher_.start(); !done) return done;
    for (const Endpoint& endpoint : entrance_.tcp()) host().info("listening at tcp " + endpoint.to_string());
    if (options_.socket_path) host().info("listening at " + options_.socket_path->string());
    return {};
}

Result<void> Api::stop(Deadline deadline) {
    listening_.clear();
    if (server_) {
        streams_.stop();
        server_->drain();
        announcer_.stop();
        // Clients that receive a response know what was not accepted; other clients do not.
        if (!loop_.drain(deadline, [this] { return server_->busy(); }))
            host().lost(server_->connections(), "requests were cut at the stop");
        server_->close();
        publisher_.stop();
    }
    entrance_.leave();
    return {};
}

void Api::send(http::Reply reply, http::Response response) {
    ++answers_[response.status];
    reply(std::move(response));
}

Api::Answer Api::answer(const http::Request& request, http::Reply& reply) {
    if (auto refused = entrance_.turn_away(request)) return refused;
    std::string allowed;
    for (const Route& route : routes) {
        if (route.path != request.path) continue;
        if (route.method == request.method) return (this->*route.answer)(request, reply);
        allowed.append(allowed.empty() ? "" : ", ").append(route.method == "GET" ? "GET, HEAD" : route.method);
    }
    if (allowed.empty())
        return http::problem(404, {.detail = "there is no resource at this path", .hint = "GET / lists the resources"});
    auto response = http::problem(405, {.detail = "this path does not support that method"});
    response.headers.emplace_back("Allow", allowed);
    return response;
}

Api::Answer Api::get_root(const http::Request&, http::Reply&) {
    http::Response response;
    json::Writer writer(response.body);
    writer.object().key("ApiRoutes").array();
    for (const Route& route : routes)
        writer.object().member("method", route.method).member("path", route.path).member("name", route.name).end();
    writer.end().end();
    response.body.push_back('\n');
    return response;
}

Api::Answer Api::get_openapi(const http::Request&, http::Reply&) {
    return http::Response{.body = std::string(openapi_document)};
}

Api::Answer Api::get_flows(const http::Request& request, http::Reply&) {
    auto wanted = PageRequest::from(request.query, host().registry());
    auto page = wanted ? flow_page(host().flows(), *wanted) : std::move(wanted).error();
    if (!page) return bad_request(page.error());
    return http::Response{.body = std::move(*page)};
}

Api::Answer Api::get_history(const http::Request& request, http::Reply&) {
    auto wanted = PageRequest::from(request.query, host().registry());
    auto page = wanted ? history_page(host().history(), *wanted) : std::move(wanted).error();
    if (!page) return bad_request(page.error());
    return http::Response{.body = std::move(*page)};
}

Api::Answer Api::get_minutes(const http::Request& request, http::Reply&) {
    auto page = minutes_page(host().history(), request.query);
    if (!page) return bad_request(page.error());
    return http::Response{.body = std::move(*page)};
}

Api::Answer Api::get_events(const http::Request& request, http::Reply& reply) {
    auto wanted = EventsRequest::from(request.query, host().registry());
    if (!wanted) return bad_request(wanted.error());
    auto response = streams_.serve(std::move(*wanted), reply);
    if (response) {
        if (!*response) ++answers_[200];
        return std::move(*response);
    }
    if (response.error().code == FLOWD_LIMIT)
        return http::problem(503, {.detail = response.error().message, .hint = "close one, or try again later"});
    return http::problem(400, {.detail = "after: is not a position of this daemon", .hint = "begin without a position"});
}

Api::Answer Api::post_flow(const http::Request& request, http::Reply& reply) {
    if (auto wrong = not_json(request)) return wrong;
    auto events = reader_.read(request.body);
    if (!events) return bad_request(events.error());
    std::string accepted;
    json::Writer(accepted).object().member("accepted", events->size()).end();
    accepted.push_back('\n');
    return announce(std::move(*events), std::move(accepted), request, reply);
}

Api::Answer Api::post_flows(const http::Request& request, http::Reply& reply) {
    if (auto wrong = not_json(request)) return wrong;
    auto each = reader_.read_each(request.body);
    if (!each) return bad_request(each.error());
    const auto wait = wait_of(request);
    if (!wait) return bad_request(wait.error());
    name_sender(each->events, request);
    return announcer_.announce(std::move(*each), *wait, request.followed, reply);
}

Api::Answer Api::get_dummy_start(const http::Request& request, http::Reply& reply) {
    const Endpoint source{*Address::parse("::1"), 2345}, destination{*Address::parse("::1"), 5777};
    Event event = Event::start(make_key(source, destination, IPPROTO_TCP), {0xffff, 0xffff});
    event->start_time_ns = unix_time_ns();
    return announce_dummy(std::move(event), request, reply);
}

Api::Answer Api::get_dummy_end(const http::Request& request, http::Reply& reply) {
    const Endpoint source{*Address::parse("::1"), 2345}, destination{*Address::parse("::1"), 5777};
    Event event = Event::end(make_key(source, destination, IPPROTO_TCP), {0xffff, 0xffff});
    event->end_time_ns = unix_time_ns();
    return announce_dummy(std::move(event), request, reply);
}

Api::Answer Api::announce_dummy(Event event, const http::Request& request, http::Reply& reply) {
    std::string accepted;
    json::Writer writer(accepted);
    write_flowd_go_form(writer, event.raw());
    accepted.push_back('\n');
    std::vector<Event> events;
    events.push_back(std::move(event));
    return announce(std::move(events), std::move(accepted), request, reply);
}

Api::Answer Api::announce(std::vector<Event> events, std::string accepted, const http::Request& request,
                          http::Reply& reply) {
    const auto wait = wait_of(request);
    if (!wait) return bad_request(wait.error());
    name_sender(events, request);
    return announcer_.announce(std::move(events), std::move(accepted), *wait, request.followed, reply);
}

void Api::name_sender(std::vector<Event>& events, const http::Request& request) {
    const std::uint64_t sender = sender_of(host(), request.peer);
    for (Event& event : events) event->sender = sender;
}

void Api::status(json::Writer& object) const {
    std::vector<std::string> addresses;
    for (const Endpoint& endpoint : entrance_.tcp()) addresses.push_back(endpoint.to_string());
    if (options_.socket_path) addresses.push_back(options_.socket_path->string());
    object.member("summary", text::summary("listens on", addresses));
    if (!entrance_.tcp().empty()) object.member("address", entrance_.tcp().front().to_string());
    if (options_.socket_path) object.member("socket", options_.socket_path->string());
    object.member("token", entrance_.has_token());
    counters_.status(object);
}

}  // namespace flowd::api
