// SPDX-License-Identifier: Apache-2.0
// backends/marker/marker.hpp: the backend. Runs on its instance's thread, in the core's loop.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "backends/marker/marking.hpp"
#include "backends/marker/options.hpp"
#include "backends/marker/pins.hpp"
#include "backends/marker/series.hpp"
#include "flowd/module.hpp"
#include "lib/bpf/throttle.hpp"

namespace flowd::marker {

class Marker final : public Backend {
  public:
    using Options = marker::Options;
    static constexpr Info info{.name = "marker",
                               .summary = "Writes the tag of a flow into the IPv6 flow label of its outgoing packets.",
                               .accepts = 1u << FLOWD_EVENT_START | 1u << FLOWD_EVENT_ONGOING | 1u << FLOWD_EVENT_END |
                                          1u << FLOWD_EVENT_CATCH_ALL | 1u << FLOWD_EVENT_CATCH_ALL_CLEAR};

    Marker(Host& host, Options options) : Backend(host), options_(std::move(options)) {}

    static void validate(const Options& options, Problems& problems) { Options::validate(options, problems); }
    static std::vector<Command<Marker>> commands();
    static std::vector<Tool> tools();
    std::vector<Finding> findings() const;
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);
    void explain(const FlowBatch& flows, Explanations& explanations) const;

    Result<void> prepare() override;
    Result<void> start() override;
    Taken on_events(const Events& events) override;
    Result<void> stop(Deadline deadline) override;
    void status(json::Writer& object) const override;

    /// Builds the new marking and then removes the old one: packets are marked all the time, and a failure leaves the old
    /// one unchanged.
    Result<void> reconfigure(Options options);

  private:
    [[nodiscard]] Result<void> watch();
    [[nodiscard]] Result<void> open_pins(const Options& options);
    /// Starts the periodic removal of adopted flows that are idle and were not announced again.
    [[nodiscard]] Result<void> expire_adopted();
    void end_flow(EventView event);
    /// Creates the time series of this program.
    void publish();
    /// Offers the map of the active program; plugins that have the old one are notified.
    [[nodiscard]] Result<void> share_socket_tags();
    /// Whether any plugin tags sockets.
    void look_for_taggers();
    /// After a time limit: removes a catch-all that no plugin has set.
    [[nodiscard]] Result<void> await_catch_all();
    void clear_catch_all();
    /// Publishes its interfaces for modules that meter on them (flowd.interfaces/1).
    void tell_interfaces();
    [[nodiscard]] std::string summary() const;
    void explain(std::size_t index, const flowd_flow& flow, Explanations& explanations) const;
    void explain_route(const flowd_flow& flow, Explanations& explanations) const;
    void set_catch_all(std::optional<flowd_tag> tag);
    void start_flow(const flowd_event& event);

    Result<void> command_status(const std::vector<std::string_view>& arguments, json::Writer& answer);
    Result<void> command_coverage(const std::vector<std::string_view>& arguments, json::Writer& answer);
    Result<void> command_mode(const std::vector<std::string_view>& arguments, json::Writer& answer);

    Options options_;
    std::optional<Pins> pins_;          // with `persist`
    std::unique_ptr<Marking> marking_;  // from prepare to stop
    bool knows_catch_all_ = false;      // the core has sent the catch-all, or that there is none
    Timer adopted_timer_;
    bool said_full_ = false;
    std::unique_ptr<Series> series_;  // of the active program
    Timer second_timer_;
    Subscription taggers_;
    Watch change_watch_;
    bpf::Throttle attach_soon_{host(), [this] {
                                   if (!marking_) return;
                                   marking_->attach_again();
                                   if (marking_->is_busy()) attach_soon_.call_after(bpf::Attachments::busy_period);
                                   tell_interfaces();
                               }};
    Timer catch_all_timer_;
};

}  // namespace flowd::marker
