// SPDX-License-Identifier: Apache-2.0
// The api plugin: flows are announced and looked at over HTTP.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "flowd/asio.hpp"
#include "flowd/module.hpp"
#include "lib/http/bearer.hpp"
#include "lib/http/server.hpp"
#include "plugins/api/flow_reader.hpp"
#include "plugins/api/options.hpp"

namespace flowd::api {

/// Back-pressure: when the bus is full the answer is 503 with Retry-After, and the client has the event still.
class Api final : public Plugin {
  public:
    using Options = api::Options;
    static constexpr Info info{.name = "api",
                               .summary = "Announces flows that are posted over HTTP, and shows the live ones.",
                               .loop = FLOWD_LOOP_OWN,
                               .precedence = FLOWD_PRECEDENCE_EXPLICIT};

    Api(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { Options::validate(options, problems); }
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> run() override { return loop_.run(); }
    Result<void> stop(Deadline deadline) override;
    void status(json::Writer& object) const override;

  private:
    struct Route {
        std::string_view method, path, name;
        http::Response (Api::*answer)(const http::Request&);
    };
    static const std::array<Route, 6> routes;

    [[nodiscard]] http::Response answer(const http::Request& request);
    [[nodiscard]] bool is_allowed(const http::Request& request) const;
    [[nodiscard]] http::Response get_root(const http::Request& request);
    [[nodiscard]] http::Response get_openapi(const http::Request& request);
    [[nodiscard]] http::Response get_flows(const http::Request& request);
    [[nodiscard]] http::Response post_flow(const http::Request& request);
    [[nodiscard]] http::Response get_dummy_start(const http::Request& request);
    [[nodiscard]] http::Response get_dummy_end(const http::Request& request);
    [[nodiscard]] http::Response announce_dummy(Event event, const http::Peer& peer);
    /// Nothing when all were accepted.
    [[nodiscard]] std::optional<http::Response> announce(std::vector<Event>& events, const http::Peer& peer);

    void each_second();
    void publish();

    Options options_;
    AsioLoop loop_;
    FlowReader reader_;
    std::optional<http::Bearer> bearer_;
    std::vector<UniqueFd> listening_;
    std::optional<http::Server> server_;

    std::array<std::uint64_t, 4> announced_{};  ///< by kind of event
    std::uint64_t not_taken_ = 0;               ///< the core found the event malformed or over a cap
    std::uint64_t full_ = 0;                    ///< answers 503 because the queues were full
    std::map<unsigned, std::uint64_t> answers_;
    std::string last_refused_;
    std::string last_error_;

    std::map<unsigned, Counter> answers_metrics_;
    std::vector<Counter> announced_metrics_;
    Counter connections_metric_, over_cap_metric_, timed_out_metric_, malformed_metric_, not_taken_metric_, full_metric_;
    Gauge open_metric_;
    Timer second_;
};

}  // namespace flowd::api
