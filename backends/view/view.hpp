// SPDX-License-Identifier: Apache-2.0
// The view backend: a web page of what the daemon does. It only reads.
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/view/answers.hpp"
#include "backends/view/flow_walk.hpp"
#include "backends/view/options.hpp"
#include "backends/view/selection.hpp"
#include "flowd/asio.hpp"
#include "flowd/module.hpp"
#include "flowd/publisher.hpp"
#include "lib/http/entrance.hpp"
#include "lib/http/server.hpp"

namespace flowd::view {

/// Takes no flow events, which would cost something while nobody looks: it reads the flow table while a page is open.
class View final : public Backend {
  public:
    using Options = view::Options;
    static constexpr Info info{.name = "view",
                               .summary = "Serves a web page of flows, throughput, history and health.",
                               .loop = FLOWD_LOOP_OWN,
                               .accepts = 1u << FLOWD_EVENT_CATCH_ALL | 1u << FLOWD_EVENT_CATCH_ALL_CLEAR};
    static constexpr std::size_t most_streams = 32;

    View(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { Options::validate(options, problems); }
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> run() override { return loop_.run(); }
    Result<void> stop(Deadline deadline) override;
    Taken on_events(const Events& events) override;
    void status(json::Writer& object) const override;

  private:
    struct Page {  ///< an open page
        http::Stream stream;
        std::string key;                       ///< of its selection
        std::shared_ptr<Selection> selection;  ///< empty: it shows no table
        Selection::Sent sent;
    };
    struct Route {
        std::string_view path;
        void (View::*answer)(const http::Request&, http::Reply);
    };
    static const std::array<Route, 6> routes;

    void handle(const http::Request& request, http::Reply reply);
    void refuse(http::Reply reply, http::Response response);
    void get_page(const http::Request& request, http::Reply reply);
    void get_stream(const http::Request& request, http::Reply reply);
    void get_status(const http::Request& request, http::Reply reply);
    void get_explain(const http::Request& request, http::Reply reply);
    void get_ended(const http::Request& request, http::Reply reply);
    void get_day(const http::Request& request, http::Reply reply);

    void walk_after(std::chrono::nanoseconds delay);
    void walk();
    void walk_on();
    void tell_pages();
    [[nodiscard]] std::string tick() const;
    void write_packets(json::Writer& writer) const;
    [[nodiscard]] http::Counts served() const { return server_ ? server_->counts() : http::Counts{}; }

    Options options_;
    AsioLoop loop_;
    FlowWalk flow_walk_;
    Answers answers_;
    http::Entrance entrance_;
    std::vector<UniqueFd> listening_;
    std::optional<http::Server> server_;
    boost::asio::steady_timer timer_;
    std::list<Page> pages_;
    std::optional<flowd_tag> catch_all_;
    bool stopping_ = false;

    std::uint64_t refused_ = 0, streams_ = 0, streams_over_cap_ = 0, behind_ = 0;
    Counters counters_;
    Publisher publisher_{host(), [this] { counters_.publish(); }, [this] { entrance_.warn_of_crowd(server_->counts()); }};
};

}  // namespace flowd::view
