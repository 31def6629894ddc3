// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/api.hpp"

#include <algorithm>
#include <utility>

#include "lib/http/listening.hpp"
#include "lib/http/problem.hpp"
#include "lib/net/address_hash.hpp"
#include "lib/text/words.hpp"
#include "plugins/api/flow_page.hpp"
#include "plugins/api/openapi.hpp"
#include "plugins/api/peer_forms.hpp"

namespace flowd::api {
namespace {

constexpr std::array<const char*, 4> kinds{"", "start", "ongoing", "end"};
/// Refused events that an answer lists by their place.
constexpr std::size_t most_listed = 10;

/// Who told us, for caps per source.
[[nodiscard]] std::uint64_t sender_of(const http::Peer& peer) {
    return peer.user ? *peer.user + (std::uint64_t{1} << 32) : net::hash_of(peer.endpoint.address);
}

/// "application/json; charset=utf-8" and "application/vnd.x+json" are JSON.
[[nodiscard]] bool is_json(std::string_view type) {
    type = type.substr(0, type.find(';'));
    while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
    return text::same_word(type, "application/json") ||
           (type.size() > 5 && text::same_word(type.substr(type.size() - 5), "+json"));
}

[[nodiscard]] http::Response with_retry(http::Response response) {
    response.headers.emplace_back("Retry-After", "1");
    return response;
}

}  // namespace

const std::array<Api::Route, 6> Api::routes{{
    {"POST", "/flow", "announces one flow or several", &Api::post_flow},
    {"GET", "/flows", "the live flows", &Api::get_flows},
    {"GET", "/", "this list", &Api::get_root},
    {"GET", "/openapi.json", "the description of this API", &Api::get_openapi},
    {"GET", "/dummy/start", "starts a flow from [::1]:2345 to [::1]:5777", &Api::get_dummy_start},
    {"GET", "/dummy/end", "ends it", &Api::get_dummy_end},
}};

Api::Api(Host& host, Options options) : Plugin(host), options_(std::move(options)), loop_(host), reader_(host.registry()) {
    for (std::size_t i = 1; i < kinds.size(); ++i)
        announced_metrics_.push_back(
            host.counter("api_events_total", "Flow events announced, by state.", {{"state", kinds[i]}}));
    connections_metric_ = host.counter("api_connections_total", "Connections accepted.");
    over_cap_metric_ =
        host.counter("api_connections_over_cap_total", "Connections answered 503 because there were too many.");
    timed_out_metric_ = host.counter("api_timeouts_total", "Connections closed because the client took too long.");
    malformed_metric_ = host.counter("api_malformed_total", "Requests that were no HTTP as it is understood.");
    not_taken_metric_ = host.counter("api_not_taken_total", "Events understood that the core did not take.");
    full_metric_ = host.counter("api_full_total", "Requests answered 503 because the queues were full.");
    open_metric_ = host.gauge("api_connections", "Connections that are open.");
}

Result<void> Api::prepare() {
    const auto take = [this](const std::string& name, const char* option, auto make) -> Result<void> {
        UniqueFd handed = host().descriptors().take(name);
        auto socket = handed ? http::listen_again(std::move(handed)) : make();
        if (!socket) {
            Error error = std::move(socket).error();
            error.option = option;
            return error;
        }
        if (auto kept = host().descriptors().keep(name, socket->get()); !kept) return kept;
        listening_.push_back(std::move(*socket));
        return {};
    };
    if (options_.token_file) {
        auto bearer = http::Bearer::from_file(*options_.token_file);
        if (!bearer) {
            Error error = std::move(bearer).error();
            error.option = "tokenFile";
            return error;
        }
        bearer_ = std::move(*bearer);
    }
    if (options_.listens_at_tcp()) {
        const auto taken = take("tcp:" + options_.endpoint().to_string(), "bindPort",
                                [this] { return http::listen_tcp(options_.endpoint()); });
        if (!taken) return taken;
    }
    if (!options_.socket_path) return {};
    return take("unix:" + options_.socket_path->string(), "socketPath",
                [this] { return http::listen_unix(*options_.socket_path, options_.mode().value_or(0660)); });
}

Result<void> Api::start() {
    http::Limits limits;
    limits.max_connections = options_.max_connections;
    limits.max_body = options_.max_body;
    limits.request_timeout = options_.request_timeout;
    limits.idle_timeout = options_.idle_timeout;
    server_.emplace(loop_.context(), limits, [this](const http::Request& request, http::Reply reply) {
        http::Response response = answer(request);
        ++answers_[response.status];
        reply(std::move(response));
    });
    for (UniqueFd& socket : listening_)
        if (auto served = server_->serve(std::move(socket)); !served) return served;
    listening_.clear();
    auto second = host().every(std::chrono::seconds(1), [this] { each_second(); });
    if (!second) return std::move(second).error();
    second_ = std::move(*second);
    if (options_.listens_at_tcp()) host().info("listening at tcp " + options_.endpoint().to_string());
    if (options_.socket_path) host().info("listening at " + options_.socket_path->string());
    return {};
}

Result<void> Api::stop(Deadline deadline) {
    second_.reset();
    listening_.clear();
    if (!server_) return {};
    server_->drain();
    if (!loop_.drain(deadline, [this] { return server_->busy(); }))
        host().warning(std::to_string(server_->connections()) + " connections were cut at the stop");
    server_->close();
    publish();
    return {};
}

bool Api::is_allowed(const http::Request& request) const {
    return !bearer_ || request.peer.is_local() || bearer_->allows(request.authorization);
}

http::Response Api::answer(const http::Request& request) {
    if (!is_allowed(request)) {
        auto response = http::problem(401, {.detail = "the request carries no valid token",
                                            .hint = "send Authorization: Bearer and the token of tokenFile"});
        response.headers.emplace_back("WWW-Authenticate", "Bearer");
        return response;
    }
    std::string allowed;
    for (const Route& route : routes) {
        if (route.path != request.path) continue;
        if (route.method == request.method) return (this->*route.answer)(request);
        allowed.append(allowed.empty() ? "" : ", ").append(route.method == "GET" ? "GET, HEAD" : route.method);
    }
    if (allowed.empty())
        return http::problem(404, {.detail = "there is nothing at this path", .hint = "GET / lists what there is"});
    auto response = http::problem(405, {.detail = "this path does not have that method"});
    response.headers.emplace_back("Allow", allowed);
    return response;
}

http::Response Api::get_root(const http::Request&) {
    http::Response response;
    json::Writer writer(response.body);
    writer.object().key("ApiRoutes").array();
    for (const Route& route : routes)
        writer.object().member("method", route.method).member("path", route.path).member("name", route.name).end();
    writer.end().end();
    response.body.push_back('\n');
    return response;
}

http::Response Api::get_openapi(const http::Request&) {
    return {.body = std::string(openapi_document)};
}

http::Response Api::get_flows(const http::Request& request) {
    const auto page = PageRequest::from(request.query);
    if (!page) return http::problem(400, {.detail = page.error().message, .hint = page.error().hint});
    return {.body = flow_page(host().flows(), *page)};
}

http::Response Api::post_flow(const http::Request& request) {
    if (!is_json(request.content_type))
        return http::problem(415, {.detail = "the body has to be JSON", .hint = "send Content-Type: application/json"});
    auto events = reader_.read(request.body);
    if (!events) {
        last_refused_ = events.error().message.substr(0, 200);
        return http::problem(400, {.detail = events.error().message, .hint = events.error().hint});
    }
    const std::size_t count = events->size();
    if (auto refused = announce(*events, request.peer)) return std::move(*refused);
    http::Response response;
    json::Writer(response.body).object().member("accepted", count).end();
    response.body.push_back('\n');
    return response;
}

std::optional<http::Response> Api::announce(std::vector<Event>& events, const http::Peer& peer) {
    const std::uint64_t sender = sender_of(peer);
    for (Event& event : events) event->sender = sender;
    std::vector<std::size_t> refused;
    bool limited = false;
    std::size_t done = 0, accepted = 0;
    const auto more = [&](json::Writer& writer) {
        writer.member("accepted", accepted);
        if (refused.empty()) return;
        writer.member("refused", refused.size()).key("refusedAt").array();
        for (std::size_t i = 0; i < std::min(refused.size(), most_listed); ++i) writer.value(refused[i]);
        writer.end();
    };
    while (done < events.size()) {
        const Emitted emitted = host().emit(std::span<const Event>(events).subspan(done));
        for (std::size_t i = 0; i < emitted.accepted; ++i) ++announced_[events[done + i]->kind];
        accepted += emitted.accepted;
        done += emitted.accepted;
        if (emitted.ok()) break;
        if (emitted.result != FLOWD_INVALID && emitted.result != FLOWD_LIMIT) {
            ++full_;
            return with_retry(http::problem(
                503, {.detail = emitted.full() ? "the queues of the backends are full" : "the daemon is stopping",
                      .hint = "send it again; what was accepted before may be sent twice without harm",
                      .more = more}));
        }
        limited = limited || emitted.result == FLOWD_LIMIT;
        refused.push_back(done++);
        ++not_taken_;
    }
    if (refused.empty()) return std::nullopt;
    if (limited)
        return with_retry(http::problem(429, {.detail = "a cap on live flows is reached",
                                              .hint = "see flows.maxLive, maxPerInstance and maxPerSource",
                                              .more = more}));
    return http::problem(422, {.detail = "the daemon does not take such an event", .more = more});
}

http::Response Api::get_dummy_start(const http::Request& request) {
    const Endpoint source{*Address::parse("::1"), 2345}, destination{*Address::parse("::1"), 5777};
    Event event = Event::start(make_key(source, destination, IPPROTO_TCP), {0xffff, 0xffff});
    event->start_time_ns = unix_time_ns();
    return announce_dummy(std::move(event), request.peer);
}

http::Response Api::get_dummy_end(const http::Request& request) {
    const Endpoint source{*Address::parse("::1"), 2345}, destination{*Address::parse("::1"), 5777};
    Event event = Event::end(make_key(source, destination, IPPROTO_TCP), {0xffff, 0xffff});
    event->end_time_ns = unix_time_ns();
    return announce_dummy(std::move(event), request.peer);
}

http::Response Api::announce_dummy(Event event, const http::Peer& peer) {
    std::vector<Event> events;
    events.push_back(std::move(event));
    if (auto refused = announce(events, peer)) return std::move(*refused);
    http::Response response;
    json::Writer writer(response.body);
    write_flowd_go_form(writer, events.front().raw());
    response.body.push_back('\n');
    return response;
}

void Api::each_second() {
    publish();
    if (!bearer_) return;
    const auto refreshed = bearer_->refresh();
    const std::string error = refreshed ? std::string() : refreshed.error().message;
    if (!error.empty() && error != last_error_) host().report(Problem::from(refreshed.error()));
    last_error_ = error;
}

void Api::publish() {
    const http::Counts& counts = server_->counts();
    connections_metric_.set_total(static_cast<double>(counts.connections));
    over_cap_metric_.set_total(static_cast<double>(counts.over_cap));
    timed_out_metric_.set_total(static_cast<double>(counts.timed_out));
    malformed_metric_.set_total(static_cast<double>(counts.malformed));
    not_taken_metric_.set_total(static_cast<double>(not_taken_));
    full_metric_.set_total(static_cast<double>(full_));
    open_metric_.set(static_cast<double>(server_->connections()));
    for (std::size_t i = 1; i < announced_.size(); ++i)
        announced_metrics_[i - 1].set_total(static_cast<double>(announced_[i]));
    for (const auto& [code, count] : answers_) {
        auto found = answers_metrics_.find(code);
        if (found == answers_metrics_.end())
            found = answers_metrics_
                        .emplace(code, host().counter("api_responses_total", "Requests answered, by status code.",
                                                      {{"code", std::to_string(code)}}))
                        .first;
        found->second.set_total(static_cast<double>(count));
    }
}

void Api::status(json::Writer& object) const {
    if (options_.listens_at_tcp()) object.member("address", options_.endpoint().to_string());
    if (options_.socket_path) object.member("socket", options_.socket_path->string());
    object.member("token", bearer_.has_value());
    const http::Counts counts = server_ ? server_->counts() : http::Counts{};
    object.member("connections", server_ ? server_->connections() : 0);
    object.member("accepted", counts.connections).member("overCap", counts.over_cap).member("timedOut", counts.timed_out);
    object.member("requests", counts.requests).member("malformed", counts.malformed).member("failed", counts.failed);
    object.key("answers").object();
    for (const auto& [code, count] : answers_) object.member(std::to_string(code), count);
    object.end();
    object.key("announced").object();
    for (std::size_t i = 1; i < kinds.size(); ++i) object.member(kinds[i], announced_[i]);
    object.end();
    object.member("notTaken", not_taken_).member("full", full_);
    if (!last_refused_.empty()) object.member("lastRefused", last_refused_);
    if (!last_error_.empty()) object.member("lastError", last_error_);
}

}  // namespace flowd::api
