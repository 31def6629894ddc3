// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/metrics.hpp"

#include <chrono>
#include <utility>

#include "backends/metrics/all_series.hpp"
#include "backends/metrics/negotiation.hpp"
#include "backends/metrics/process.hpp"
#include "lib/http/problem.hpp"
#include "lib/text/summary.hpp"

namespace flowd::metrics {
namespace {

constexpr double seconds_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
constexpr double size_bounds[] = {1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26};

}  // namespace

Metrics::Metrics(Host& host, Options options)
    : Backend(host),
      options_(std::move(options)),
      loop_(host),
      labels_(host.registry(), options_.names),
      counts_(host, labels_),
      samples_(options_.per_flow ? options_.max_flows : 0),
      entrance_(host, options_),
      counters_(
          host,
          {
              {"connections", [this] { return sum([](const http::Server& one) { return one.connections(); }); }},
              {"overCap", "metrics_connections_over_cap_total", "Connections answered 503 because there were too many.",
               [this] { return sum([](const http::Server& one) { return one.counts().turned_away(); }); }},
              {"notAccepted", "metrics_connections_not_accepted_total",
               "Failed calls of accept(2), because no descriptor was left; the connections wait.",
               [this] { return sum([](const http::Server& one) { return one.counts().not_accepted; }); }},
              {"scrapes", "metrics_scrapes_total", "Pages that were served.", &scrapes_},
              {"refused", &refused_},
              {"", "metrics_refused_total", "Requests that were answered with an error.",
               [this] { return refused_ + sum([](const http::Server& one) { return one.counts().malformed; }); }},
              {"lastBytes", &last_bytes_},
              {"flowsLive", [this] { return counts_.live(); }},
              {"flowsShown", "metrics_flows_shown", "Flows whose TCP figures are shown.",
               [this] { return samples_.shown(); }},
              {"", "metrics_flows_kept", "Flows of which a sample is kept.", [this] { return samples_.kept(); }},
              {"samplesLeftOut", "metrics_samples_left_out_total", "Samples that were not kept because of maxFlows.",
               [this] { return samples_.left_out(); }},
          }) {
    build_ =
        host.gauge("build_info", "1, with the version of the daemon.", {{"version", std::string(host.core_version())}});
    build_.set(1);
    duration_metric_ = host.histogram("metrics_scrape_seconds", "Time to print a page.", seconds_bounds, {}, "seconds");
    size_metric_ = host.histogram("metrics_scrape_bytes", "Size of a page before gzip.", size_bounds, {}, "bytes");
}

Result<void> Metrics::prepare() {
    for (const Listener& listener : options_.listeners()) {
        auto socket = entrance_.open_tcp(listener.endpoint.port, listener.option);
        if (!socket) return std::move(socket).error();
        listening_.push_back({listener, std::move(*socket)});
    }
    return {};
}

Result<void> Metrics::start() {
    const http::Limits limits = options_.limits(4096);  // a GET has no body
    for (Listening& listening : listening_) {
        auto& server = servers_.emplace_back(
            loop_.context(), limits,
            [this, selection = listening.listener.selection](const http::Request& request, http::Reply reply) {
                auto other = other_than_page(request);
                if (!other) return scrape(request, selection, std::move(reply));
                if (other->status != 200) ++refused_;
                reply(std::move(*other));
            },
            entrance_.refusals());
        if (auto served = server.serve(std::move(listening.socket)); !served) return served;
    }
    if (options_.log)
        for (const Endpoint& endpoint : entrance_.tcp())
            host().info("listening at http://" + endpoint.to_string() + "/metrics");
    listening_.clear();
    return publisher_.start();
}

Result<void> Metrics::stop(Deadline deadline) {
    listening_.clear();
    for (http::Server& server : servers_) server.drain();
    if (!loop_.drain(deadline, [this] { return sum([](const http::Server& one) { return one.connections(); }) > 0; }))
        host().warning("connections were closed at the stop");
    for (http::Server& server : servers_) server.close();
    publisher_.stop();
    return {};
}

Taken Metrics::on_events(const Events& events) {
    for (const EventView event : events) {
        counts_.take(event);
        samples_.take(event);
    }
    return Taken::all();
}

std::optional<http::Response> Metrics::other_than_page(const http::Request& request) {
    if (auto refused = entrance_.turn_away(request)) return refused;
    if (request.path != "/metrics" && request.path != "/")
        return http::problem(404, {.detail = "there is no resource at this path", .hint = "GET /metrics"});
    if (request.method != "GET") {
        auto response = http::problem(405, {.detail = "this path does not support that method"});
        response.headers.emplace_back("Allow", "GET, HEAD");
        return response;
    }
    if (request.path == "/") return http::Response{.content_type = "text/plain; charset=utf-8", .body = "/metrics\n"};
    return std::nullopt;
}

void Metrics::scrape(const http::Request& request, const Selection& selection, http::Reply reply) {
    counters_.publish();
    const Format format = format_of(request.accept);
    const bool gzip = accepts_gzip(request.accept_encoding);
    const auto begin = std::chrono::steady_clock::now();
    const auto scrape = std::make_shared<Scrape>(format, gzip, samples_.figures(selection.flavour, labels_));
    if (selection.daemon) {
        if (auto printed = print_all_series(host().all_metrics(), scrape->page()); !printed)
            host().report(Problem::from(printed.error()));
        print_process(scrape->page());
    }
    scrape->add_time(std::chrono::steady_clock::now() - begin);
    http::Response head{.content_type = content_type_of(format)};
    head.headers.emplace_back("Vary", "Accept, Accept-Encoding");
    if (gzip) head.headers.emplace_back("Content-Encoding", "gzip");
    reply.pieces(head, [this, scrape](std::string& piece) {
        if (scrape->next(piece)) return true;
        ++scrapes_;
        last_bytes_ = scrape->bytes();
        size_metric_.observe(static_cast<double>(last_bytes_));
        duration_metric_.observe(std::chrono::duration<double>(scrape->time()).count());
        return false;
    });
}

void Metrics::warn_of_crowd() {
    http::Counts counts;
    counts.over_cap = sum([](const http::Server& one) { return one.counts().over_cap; });
    counts.starved = sum([](const http::Server& one) { return one.counts().starved; });
    counts.not_accepted = sum([](const http::Server& one) { return one.counts().not_accepted; });
    entrance_.warn_of_crowd(counts);
}

template <typename Of>
std::uint64_t Metrics::sum(Of of) const {
    std::uint64_t all = 0;
    for (const http::Server& server : servers_) all += of(server);
    return all;
}

void Metrics::status(json::Writer& object) const {
    std::vector<std::string> addresses;
    for (const Endpoint& endpoint : entrance_.tcp()) addresses.push_back(endpoint.to_string());
    object.member("summary", text::summary("serves", addresses));
    object.key("addresses").array();
    for (const std::string& address : addresses) object.value(address);
    object.end();
    object.member("token", entrance_.has_token());
    counters_.status(object);
}

}  // namespace flowd::metrics
