// SPDX-License-Identifier: Apache-2.0
// The firefly backend: sends starts and ends of flows to collectors and to the destinations of flows.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "backends/firefly/destinations.hpp"
#include "backends/firefly/flow_memory.hpp"
#include "backends/firefly/options.hpp"
#include "backends/firefly/provenances.hpp"
#include "backends/firefly/stun_client.hpp"
#include "backends/firefly/tools.hpp"
#include "flowd/module.hpp"
#include "flowd/publisher.hpp"
#include "lib/firefly/composer.hpp"
#include "lib/net/hosted_target.hpp"
#include "lib/net/own_sockets.hpp"

namespace flowd::firefly_backend {

/// Indexed by Skip.
inline constexpr std::array<std::string_view, 13> skip_names{"protocol", "port",       "address",     "size",    "received",
                                                             "metered",  "not_a_host", "ourselves",   "relayed", "hops",
                                                             "peer",     "limited",    "unregistered"};

/// The event of a live flow that is repeated, as `ongoing`.
[[nodiscard]] flowd_event ongoing_of(const flowd_flow& flow);

class FireflyBackend final : public Backend {
  public:
    using Options = FireflyOptions;
    static constexpr Info info{.name = "firefly",
                               .summary = "Sends fireflies to a collector and to the destinations of flows."};

    FireflyBackend(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { FireflyOptions::validate(options, problems); }
    static std::vector<Tool> tools() {
        return {tool<&send_fireflies>("send", "Sends a start and an end to collectors, to test the path to them."),
                tool<&listen_for_fireflies>(
                    "listen", "Acts as a collector: prints the datagrams that arrive and how they are parsed."),
                tool<&lint_fireflies>("lint", "Judges the fireflies in a log, in a capture, or received at a port."),
                tool<&verify_collectors>("verify", "Sends a start and an end to each configured collector.")};
    }
    static std::vector<Command<FireflyBackend>> commands();
    std::vector<Finding> findings() const;
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);
    void explain(const FlowBatch& flows, Explanations& explanations) const;
    Result<void> prepare() override;
    Result<void> start() override;
    /// Collectors that remain are sent nothing again. A new one is sent all live flows, as ongoing, once its target is in
    /// state `sending`.
    Result<void> reconfigure(Options options);
    Result<void> stop(Deadline deadline) override;
    Taken on_events(const Events& events) override;
    void status(json::Writer& object) const override;

  private:
    /// The live flows that are still to be sent to a new collector, slice by slice.
    struct Introduction {
        std::uint64_t slices;                         ///< a flow belongs to slice flow_id % slices
        std::uint64_t slice = 0;                      ///< earlier slices were sent
        std::unordered_set<std::uint64_t> told = {};  ///< flows of this slice and later ones that were sent already

        void note(const EventView& event);
    };

    /// One of options_.all_collectors(), with its state.
    struct Collector {
        std::unique_ptr<net::HostedTarget> target;
        firefly::Layout layout;  ///< max_size as configured
        bool only_registered;    ///< tags
        std::unique_ptr<Counters> counters;
        firefly::Stream stream;
        std::uint64_t bit;  ///< in FlowMemory::Flow::collectors
        std::optional<Introduction> owed = {};

        /// The layout, with max_size limited by the path MTU if that is known.
        [[nodiscard]] firefly::Layout present_layout() const;
    };

    [[nodiscard]] std::string summary() const;
    Result<void> command_preview(const std::vector<std::string_view>& arguments, json::Writer& answer);
    /// The fireflies of a live flow, as `ongoing`, and to whom they would be sent.
    void preview(const flowd_flow& flow, std::int64_t now_ns, json::Writer& list);
    void explain(std::size_t index, const flowd_flow& flow, Explanations& explanations) const;
    void explain_destination(std::size_t index, const flowd_flow& flow, const FlowMemory::Flow& told,
                             Explanations& explanations) const;
    [[nodiscard]] Collector make_collector(const Options& options, const firefly_backend::Collector& configured);
    void begin_sending(const std::vector<Collector>& collectors);
    [[nodiscard]] Result<Timer> ongoing_timer(const Options& options);
    /// Continues each introduction whose collector is in state `sending`.
    void introduce();
    void introduce(Collector& collector);
    void send(const EventView& event, std::int64_t now_ns);
    /// False: the event was not sent, because the queue was full.
    bool send_to(Collector& collector, const EventView& event);
    void send_to_destination(const EventView& event);
    /// Composes the firefly of an event. False: no firefly is sent for this event.
    [[nodiscard]] bool begin(const EventView& event, std::int64_t now_ns);
    [[nodiscard]] bool is_withheld(const Collector& collector, flowd_tag tag) const;
    [[nodiscard]] bool is_peer(const std::optional<Endpoint>& target) const;
    [[nodiscard]] bool wanted(const EventView& event);
    void flush();
    void send_ongoing();
    void publish();
    /// As configured, and as learnt from a STUN server.
    [[nodiscard]] firefly::Composer::Mapping public_addresses() const;
    void skip(Skip reason) { ++skipped_[static_cast<std::size_t>(reason)]; }
    /// `whose`: the member for the kind of receiver that the current firefly is not sent to.
    void skip(Skip reason, Skip FlowMemory::Flow::*whose) {
        skip(reason);
        if (flow_ != nullptr) flow_->*whose = reason;
    }

    Options options_;
    std::optional<firefly::Composer> composer_;
    FlowMemory flows_;
    FlowMemory::Flow* flow_ = nullptr;  ///< of the event that is being sent; null: unknown
    Provenances provenances_;
    std::optional<firefly::Provenance> from_;  ///< of the event that is being sent
    firefly::Path path_;                       ///< ... which its fireflies carry
    std::string numbered_;
    std::uint64_t boot_ = firefly::this_boot();
    StunClient stun_;
    net::OwnReceivers own_{host()};
    std::vector<Collector> collectors_;
    unsigned collectors_made_ = 0;
    Destinations destinations_;
    std::array<std::uint64_t, skip_names.size()> skipped_{};
    std::uint64_t slice_ = 0;       ///< of the live flows, in send_ongoing
    std::uint64_t unnumbered_ = 0;  ///< fireflies sent without the member `flowd`, because it did not fit

    Counters destination_counters_, counters_;
    Publisher publisher_{host(), [this] { publish(); }, [this] { introduce(); }};
    Timer ongoing_;
};

}  // namespace flowd::firefly_backend
