// SPDX-License-Identifier: Apache-2.0
// The api plugin: announces and lists flows over HTTP.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/asio.hpp"
#include "flowd/module.hpp"
#include "flowd/publisher.hpp"
#include "lib/http/entrance.hpp"
#include "lib/http/server.hpp"
#include "plugins/api/announcer.hpp"
#include "plugins/api/event_streams.hpp"
#include "plugins/api/flow_page.hpp"
#include "plugins/api/flow_reader.hpp"
#include "plugins/api/options.hpp"

namespace flowd::api {

class Api final : public Plugin {
  public:
    using Options = api::Options;
    static constexpr Info info{.name = "api",
                               .summary = "REST API to announce flows and to read the live ones.",
                               .loop = FLOWD_LOOP_OWN,
                               .precedence = FLOWD_PRECEDENCE_EXPLICIT};

    Api(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { Options::validate(options, problems); }
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> run() override { return loop_.run(); }
    Result<void> stop(Deadline deadline) override;
    void on_room() override { announcer_.on_room(); }
    void status(json::Writer& object) const override;

  private:
    /// Empty: the response follows later, and the reply was moved.
    using Answer = std::optional<http::Response>;
    struct Route {
        std::string_view method, path, name;
        Answer (Api::*answer)(const http::Request&, http::Reply&);
    };
    static const std::array<Route, 10> routes;

    [[nodiscard]] Answer answer(const http::Request& request, http::Reply& reply);
    void send(http::Reply reply, http::Response response);
    /// send() for responses that follow later.
    [[nodiscard]] std::function<void(http::Reply, http::Response)> late_answer() {
        return [this](http::Reply reply, http::Response response) { send(std::move(reply), std::move(response)); };
    }
    [[nodiscard]] Answer get_root(const http::Request& request, http::Reply& reply);
    [[nodiscard]] Answer get_openapi(const http::Request& request, http::Reply& reply);
    [[nodiscard]] Answer get_flows(const http::Request& request, http::Reply& reply);
    [[nodiscard]] Answer get_history(const http::Request& request, http::Reply& reply);
    [[nodiscard]] Answer get_minutes(const http::Request& request, http::Reply& reply);
    [[nodiscard]] Answer get_events(const http::Request& request, http::Reply& reply);
    [[nodiscard]] Answer post_flow(const http::Request& request, http::Reply& reply);
    [[nodiscard]] Answer post_flows(const http::Request& request, http::Reply& reply);
    [[nodiscard]] Answer get_dummy_start(const http::Request& request, http::Reply& reply);
    [[nodiscard]] Answer get_dummy_end(const http::Request& request, http::Reply& reply);
    [[nodiscard]] Answer announce_dummy(Event event, const http::Request& request, http::Reply& reply);
    void name_sender(std::vector<Event>& events, const http::Request& request);
    [[nodiscard]] Answer announce(std::vector<Event> events, std::string accepted, const http::Request& request,
                                  http::Reply& reply);

    [[nodiscard]] http::Counts served() const { return server_ ? server_->counts() : http::Counts{}; }

    Options options_;
    AsioLoop loop_;
    FlowReader reader_;
    http::Entrance entrance_;
    Announcer announcer_;
    EventStreams streams_;
    std::vector<UniqueFd> listening_;
    std::optional<http::Server> server_;

    std::map<unsigned, std::uint64_t> answers_;  ///< by status code
    Counters counters_;
    Publisher publisher_{host(), [this] { counters_.publish(); }, [this] { entrance_.warn_of_crowd(server_->counts()); }};
};

}  // namespace flowd::api
