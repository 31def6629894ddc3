// SPDX-License-Identifier: Apache-2.0
// The metrics backend: every time series of the daemon, and the TCP figures of flows, for Prometheus.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backends/metrics/flow_counts.hpp"
#include "backends/metrics/flow_samples.hpp"
#include "backends/metrics/options.hpp"
#include "backends/metrics/scrape.hpp"
#include "backends/metrics/tag_labels.hpp"
#include "flowd/asio.hpp"
#include "flowd/module.hpp"
#include "flowd/publisher.hpp"
#include "lib/http/entrance.hpp"
#include "lib/http/server.hpp"

namespace flowd::metrics {

/// A page is printed on the instance's thread, a piece whenever the client has read the previous one.
class Metrics final : public Backend {
  public:
    using Options = metrics::Options;
    static constexpr Info info{
        .name = "metrics", .summary = "Exports metrics of the daemon and of flows to Prometheus.", .loop = FLOWD_LOOP_OWN};

    Metrics(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { Options::validate(options, problems); }
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> run() override { return loop_.run(); }
    Result<void> stop(Deadline deadline) override;
    Taken on_events(const Events& events) override;
    void status(json::Writer& object) const override;

  private:
    struct Listening {
        Listener listener;
        UniqueFd socket;
    };

    /// The response to a request for something else; none if the request is for a page.
    [[nodiscard]] std::optional<http::Response> other_than_page(const http::Request& request);
    void scrape(const http::Request& request, const Selection& selection, http::Reply reply);
    void warn_of_crowd();
    template <typename Of>
    [[nodiscard]] std::uint64_t sum(Of of) const;

    Options options_;
    AsioLoop loop_;
    TagLabels labels_;
    FlowCounts counts_;
    FlowSamples samples_;
    http::Entrance entrance_;
    std::vector<Listening> listening_;
    std::list<http::Server> servers_;

    std::uint64_t scrapes_ = 0, refused_ = 0, last_bytes_ = 0;

    Gauge build_;
    Histogram duration_metric_, size_metric_;
    Counters counters_;
    Publisher publisher_{host(), [this] { counters_.publish(); }, [this] { warn_of_crowd(); }};
};

}  // namespace flowd::metrics
