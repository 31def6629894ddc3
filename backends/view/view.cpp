// SPDX-License-Identifier: Apache-2.0
#include "backends/view/view.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "backends/view/page.hpp"
#include "backends/view/security.hpp"
#include "flowd/filter.hpp"
#include "flowd/number.hpp"
#include "lib/http/listening.hpp"
#include "lib/http/problem.hpp"
#include "lib/http/query.hpp"
#include "lib/text/summary.hpp"

namespace flowd::view {
namespace {

using namespace std::chrono_literals;

/// A client that has this much to read yet is sent no updates meanwhile; the next one has all changes.
constexpr std::size_t most_pending = 256 * 1024;
constexpr std::chrono::nanoseconds shortest_period = 500ms, longest_period = 20s;
/// Walks take at most one part in so many of the time: 4 % of a core.
constexpr int share = 25;
constexpr std::size_t most_ended = 10'000, ended_per_page = 1000;
constexpr std::int64_t ns_per_second = 1'000'000'000;
constexpr std::int64_t bucket_ns = 300 * ns_per_second, day_ns = 86'400 * ns_per_second;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
        text.replace(at, from.size(), to);
}

[[nodiscard]] std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string();
}

using Parameters = std::map<std::string, std::string, std::less<>>;

/// The parameters of a query; empty if one is not among `known`, repeated or too long.
[[nodiscard]] std::optional<Parameters> parameters_of(std::string_view query,
                                                      std::initializer_list<std::string_view> known) {
    Parameters all;
    const bool good = http::each_parameter(query, [&](std::string_view name, std::string_view value) {
        return std::find(known.begin(), known.end(), name) != known.end() && value.size() <= 4096 &&
               all.emplace(name, value).second;
    });
    return good ? std::optional(std::move(all)) : std::nullopt;
}

[[nodiscard]] std::string& value_of(Parameters& all, std::string_view name) {
    return all[std::string(name)];
}

[[nodiscard]] http::Response bad(std::string_view detail, std::string_view hint = {}) {
    return http::problem(400, {.detail = detail, .hint = hint});
}

}  // namespace

const std::array<View::Route, 6> View::routes{{{"/", &View::get_page},
                                               {"/stream", &View::get_stream},
                                               {"/status", &View::get_status},
                                               {"/explain", &View::get_explain},
                                               {"/ended", &View::get_ended},
                                               {"/day", &View::get_day}}};

View::View(Host& host, Options options)
    : Backend(host),
      options_(std::move(options)),
      loop_(host),
      flow_walk_(host),
      answers_(host),
      entrance_(host, options_),
      timer_(loop_.context()),
      counters_(
          host,
          {
              {"pages", "view_pages", "Open pages.", [this] { return pages_.size(); }},
              {"pagesOpened", "view_pages_total", "Pages that were opened.", &streams_},
              {"pagesOverCap", "view_pages_over_cap_total", "Pages refused because 32 were open.", &streams_over_cap_},
              {"updatesLeftOut", "view_updates_left_out_total", "Updates left out because a client read slowly.", &behind_},
              {"connections", "view_connections", "Open connections.",
               [this] { return server_ ? server_->connections() : 0; }},
              {"overCap", "view_connections_over_cap_total", "Connections answered 503 because there were too many.",
               [this] { return served().turned_away(); }},
              {"notAccepted", "view_connections_not_accepted_total",
               "Failed calls of accept(2), because no descriptor was left; the connections wait.",
               [this] { return served().not_accepted; }},
              {"requests", [this] { return served().requests; }},
              {"refused", "view_refused_total", "Requests that were answered with an error.",
               [this] { return refused_ + served().malformed; }},
          }) {}

Result<void> View::prepare() {
    if (options_.listens_at_tcp()) {
        auto socket = entrance_.open_tcp(options_.port, "port");
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

Result<void> View::start() {
    server_.emplace(
        loop_.context(), options_.limits(4096),  // a GET has no body
        [this](const http::Request& request, http::Reply reply) { handle(request, std::move(reply)); },
        entrance_.refusals());
    for (UniqueFd& socket : listening_)
        if (auto served = server_->serve(std::move(socket)); !served) return served;
    listening_.clear();
    for (const Endpoint& endpoint : entrance_.tcp()) host().info("serves http://" + endpoint.to_string() + "/");
    if (options_.socket_path) host().info("listening at " + options_.socket_path->string());
    return publisher_.start();
}

Result<void> View::stop(Deadline deadline) {
    listening_.clear();
    timer_.cancel();
    stopping_ = true;
    if (server_) {
        pages_.clear();
        server_->drain();
        (void)loop_.drain(deadline, [this] { return server_->busy(); });
        server_->close();
        publisher_.stop();
    }
    entrance_.leave();
    return {};
}

Taken View::on_events(const Events& events) {
    for (const EventView event : events) {
        if (event->kind == FLOWD_EVENT_CATCH_ALL) catch_all_ = event->tag;
        if (event->kind == FLOWD_EVENT_CATCH_ALL_CLEAR) catch_all_.reset();
    }
    return Taken::all();
}

void View::refuse(http::Reply reply, http::Response response) {
    ++refused_;
    reply(secured(std::move(response)));
}

void View::handle(const http::Request& request, http::Reply reply) {
    // A page of another site cannot read what we answer unless its name is taken for ours (DNS rebinding). Where a token
    // is required, such a page has none.
    const bool is_guarded = !request.peer.is_local() && !options_.bind_address.is_loopback();
    if (!is_guarded && !is_own_host(request.host, options_.host_names))
        return refuse(std::move(reply), http::problem(421, {.detail = "this server has another name",
                                                            .hint = "add the name to hostNames of the view backend"}));
    const auto* const route =
        std::find_if(routes.begin(), routes.end(), [&](const Route& one) { return one.path == request.path; });
    if (route == routes.end())
        return refuse(std::move(reply),
                      http::problem(404, {.detail = "there is no resource at this path", .hint = "GET /"}));
    if (request.method != "GET") {
        auto response = http::problem(405, {.detail = "this server only answers GET and HEAD"});
        response.headers.emplace_back("Allow", "GET, HEAD");
        return refuse(std::move(reply), std::move(response));
    }
    // The page itself shows nothing of this host, and asks for the token.
    if (request.path != "/")
        if (auto refused = entrance_.turn_away(request)) return refuse(std::move(reply), std::move(*refused));
    (this->*route->answer)(request, std::move(reply));
}

void View::get_page(const http::Request& request, http::Reply reply) {
    const std::string nonce = random_nonce();
    if (nonce.empty())
        return refuse(std::move(reply), http::passing_problem(503, {.detail = "the kernel has no random numbers yet"}));
    std::string body(page_document);
    replace_all(body, "{{nonce}}", nonce);
    replace_all(body, "{{token}}", entrance_.has_token() && !request.peer.is_local() ? "required" : "");
    replace_all(body, "{{version}}", host().core_version());
    reply(secured_page(std::move(body), nonce));
}

void View::get_stream(const http::Request& request, http::Reply reply) {
    auto given = parameters_of(request.query, {"table", "filter", "order"});
    if (!given)
        return refuse(std::move(reply), bad("a parameter is not known, repeated or too long", "table, filter, order"));
    auto selection = Selection::parse(value_of(*given, "filter"), value_of(*given, "order"), host().registry());
    if (!selection) return refuse(std::move(reply), bad(selection.error().message, selection.error().hint));
    std::erase_if(pages_, [](const Page& page) { return !page.stream.is_open(); });
    if (pages_.size() >= most_streams) {
        ++streams_over_cap_;
        return refuse(std::move(reply), http::passing_problem(503, {.detail = "32 pages are open", .hint = "close one"}));
    }
    Page page;
    page.key = value_of(*given, "order") + " " + value_of(*given, "filter");
    const bool has_table = value_of(*given, "table") == "live";
    for (const Page& other : pages_)
        if (has_table && other.selection != nullptr && other.key == page.key) page.selection = other.selection;
    if (has_table && page.selection == nullptr) {
        page.selection = std::make_shared<Selection>(std::move(*selection));
        flow_walk_.add(page.selection);
    }
    page.stream = reply.stream(secured({.content_type = "application/x-ndjson"}));
    if (!page.stream.is_open()) return;  // HEAD
    ++streams_;
    std::string hello;
    json::Writer writer(hello);
    writer.object().member("type", "hello").member("version", host().core_version()).member("host", host_name());
    writer.end();
    hello.push_back('\n');
    page.stream.write(hello);
    pages_.push_back(std::move(page));
    if (!flow_walk_.is_under_way()) walk_after(0ns);
}

void View::get_status(const http::Request&, http::Reply reply) {
    answers_.status(std::move(reply));
}

void View::get_explain(const http::Request& request, http::Reply reply) {
    auto given = parameters_of(request.query, {"protocol", "source", "destination"});
    if (!given || given->size() != 3)
        return refuse(std::move(reply), bad("the parameters are protocol, source and destination"));
    answers_.ask({"explain", value_of(*given, "protocol"), value_of(*given, "source"), value_of(*given, "destination")},
                 std::move(reply));
}

void View::get_ended(const http::Request& request, http::Reply reply) {
    auto given = parameters_of(request.query, {"filter", "cursor"});
    if (!given) return refuse(std::move(reply), bad("a parameter is not known, repeated or too long", "filter, cursor"));
    const auto filter = Filter::parse(value_of(*given, "filter"), TagNames(host().registry()));
    if (!filter) return refuse(std::move(reply), bad(filter.error().message, filter.error().hint));
    const std::string& text = value_of(*given, "cursor");
    const auto from = text.empty() ? std::uint64_t{0} : whole_number<std::uint64_t>(text);
    if (!from) return refuse(std::move(reply), bad("cursor: is not the `next` of a page", "begin without a cursor"));
    std::uint64_t cursor = *from;
    http::Response response;
    json::Writer writer(response.body);
    const History history = host().history();
    writer.object();
    if (!history) {
        writer.key("flows").value(nullptr).end();
        return reply(secured(std::move(response)));
    }
    writer.member("kept", history.count()).key("flows").array();
    std::size_t rows = 0;
    const flowd_flow_filter quick = filter->members();
    const std::int64_t now_ns = unix_time_ns();
    const auto done = history.page(&quick, cursor, most_ended, [&](const flowd_flow& flow) {
        if (!filter->matches(flow, now_ns)) return true;
        write_row(writer, FlowRow::of(flow, {}), host().registry());
        return ++rows < ended_per_page;
    });
    if (!done) return refuse(std::move(reply), bad("cursor: is not the `next` of a page", "begin without a cursor"));
    writer.end();
    if (cursor != 0) writer.member("next", std::to_string(cursor));
    writer.end();
    reply(secured(std::move(response)));
}

void View::get_day(const http::Request& request, http::Reply reply) {
    if (!parameters_of(request.query, {})) return refuse(std::move(reply), bad("there are no parameters"));
    struct Sums {
        std::uint64_t started = 0, ended = 0, out = 0, in = 0;
    };
    const std::int64_t now_ns = unix_time_ns();
    std::map<std::pair<std::int64_t, FlowWalk::Tag>, Sums> sums;
    const History history = host().history();
    const auto done = history.minutes(now_ns - day_ns, [&](const flowd_minute& minute) {
        Sums& to = sums[{minute.time_ns / bucket_ns * bucket_ns, {minute.tag.experiment, minute.tag.activity}}];
        const bool is_incoming = minute.local == FLOWD_LOCAL_DESTINATION;
        to.started += minute.started;
        to.ended += minute.ended;
        to.out += is_incoming ? minute.bytes_received : minute.bytes_sent;
        to.in += is_incoming ? minute.bytes_sent : minute.bytes_received;
    });
    if (history && !done) return refuse(std::move(reply), http::problem(500, {.detail = done.error().message}));
    http::Response response;
    json::Writer writer(response.body);
    writer.object().member("now", now_ns / ns_per_ms).member("bucket", bucket_ns / ns_per_ms).key("sums");
    if (!history) {
        writer.value(nullptr).end();
        return reply(secured(std::move(response)));
    }
    writer.array();
    const auto registry = host().registry();
    for (const auto& [key, one] : sums) {
        const auto& [experiment, activity] = key.second;
        writer.array().value(key.first / ns_per_ms).value(experiment).value(activity);
        writer.value(registry.experiment_name(experiment)).value(registry.activity_name(experiment, activity));
        writer.value(one.started).value(one.ended).value(one.out).value(one.in).end();
    }
    writer.end().end();
    reply(secured(std::move(response)));
}

void View::walk_after(std::chrono::nanoseconds delay) {
    timer_.expires_after(delay);
    timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) walk();
    });
}

void View::walk() {
    std::erase_if(pages_, [](const Page& page) { return !page.stream.is_open(); });
    if (pages_.empty()) return flow_walk_.rest();
    flow_walk_.begin();
    walk_on();
}

void View::walk_on() {
    if (stopping_) return;
    if (flow_walk_.step()) return boost::asio::post(loop_.context(), [this] { walk_on(); });
    tell_pages();
    walk_after(std::clamp<std::chrono::nanoseconds>(flow_walk_.cost() * share, shortest_period, longest_period));
}

void View::tell_pages() {
    const std::string state = tick();
    const auto registry = host().registry();
    for (Page& page : pages_) {
        if (page.stream.pending() > most_pending) {
            ++behind_;
            continue;
        }
        page.stream.write(state);
        if (page.selection == nullptr) continue;
        std::string rows;
        json::Writer writer(rows);
        writer.object().member("type", "flows").member("matched", page.selection->matched());
        page.selection->write_changes(writer, page.sent, registry);
        writer.end();
        rows.push_back('\n');
        page.stream.write(rows);
    }
}

std::string View::tick() const {
    std::string out;
    json::Writer writer(out);
    const auto registry = host().registry();
    const Traffic& all = flow_walk_.all();
    writer.object().member("type", "tick").member("time", unix_time_ns() / ns_per_ms).member("live", all.flows);
    writer.member("out", static_cast<std::uint64_t>(all.out)).member("in", static_cast<std::uint64_t>(all.in));
    writer.key("tags").array();
    for (const auto& [tag, traffic] : flow_walk_.tags()) {
        writer.array().value(tag.first).value(tag.second);
        writer.value(registry.experiment_name(tag.first)).value(registry.activity_name(tag.first, tag.second));
        writer.value(traffic.flows).value(static_cast<std::uint64_t>(traffic.out));
        writer.value(static_cast<std::uint64_t>(traffic.in)).end();
    }
    writer.end().key("networks").array();
    for (const auto& [network, traffic] : flow_walk_.networks()) {
        writer.array().value(network.to_string()).value(traffic.flows);
        writer.value(static_cast<std::uint64_t>(traffic.out)).value(static_cast<std::uint64_t>(traffic.in)).end();
    }
    writer.end();
    write_packets(writer);
    if (catch_all_) {
        writer.key("catchAll").array().value(catch_all_->experiment).value(catch_all_->activity);
        writer.value(registry.experiment_name(catch_all_->experiment));
        writer.value(registry.activity_name(catch_all_->experiment, catch_all_->activity)).end();
    }
    writer.end();
    out.push_back('\n');
    return out;
}

void View::write_packets(json::Writer& writer) const {
    writer.key("packets").array();
    (void)host().all_metrics().visit([&](const flowd_series& series) {
        if (to_view(series.name) != "marker_packets_total") return;
        std::string_view interface, outcome;
        for (const flowd_label& label : SizedRange<flowd_label>(series.labels, series.label_count, series.label_stride)) {
            if (to_view(label.name) == "interface") interface = to_view(label.value);
            if (to_view(label.name) == "outcome") outcome = to_view(label.value);
        }
        writer.array().value(interface).value(outcome).value(series.value).end();
    });
    writer.end();
}

void View::status(json::Writer& object) const {
    std::vector<std::string> addresses;
    for (const Endpoint& endpoint : entrance_.tcp()) addresses.push_back(endpoint.to_string());
    if (options_.socket_path) addresses.push_back(options_.socket_path->string());
    object.member("summary", text::summary("serves a page at", addresses));
    object.member("token", entrance_.has_token());
    counters_.status(object);
}

}  // namespace flowd::view
