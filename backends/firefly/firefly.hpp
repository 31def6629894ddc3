// SPDX-License-Identifier: Apache-2.0
// The firefly backend: tells collectors, and the far ends of flows, what starts and what ends.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "backends/firefly/composer.hpp"
#include "backends/firefly/destinations.hpp"
#include "backends/firefly/flow_memory.hpp"
#include "backends/firefly/options.hpp"
#include "backends/firefly/provenances.hpp"
#include "backends/firefly/stun_client.hpp"
#include "backends/firefly/tools.hpp"
#include "flowd/counters.hpp"
#include "flowd/module.hpp"
#include "lib/net/hosted_target.hpp"
#include "lib/net/own_sockets.hpp"

namespace flowd::firefly_backend {

/// By Skip.
inline constexpr std::array<std::string_view, 12> skip_names{"protocol", "port",    "address",    "size",
                                                             "received", "metered", "not_a_host", "ourselves",
                                                             "relayed",  "hops",    "peer",       "limited"};

class FireflyBackend final : public Backend {
  public:
    using Options = FireflyOptions;
    static constexpr Info info{.name = "firefly",
                               .summary = "Sends fireflies to a collector and to the destinations of flows."};

    FireflyBackend(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { FireflyOptions::validate(options, problems); }
    static std::vector<Tool> tools() {
        return {tool<&send_fireflies>("send", "Sends a start and an end to collectors, to prove the way to them."),
                tool<&listen_for_fireflies>("listen", "Is a collector for a moment: prints what comes and what it says.")};
    }
    std::vector<Finding> findings() const;
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);
    void explain(const FlowBatch& flows, Explanations& explanations) const;
    Result<void> prepare() override;
    Result<void> start() override;
    /// Collectors that stay are told nothing twice. One that is new is told what is live, as ongoing, once it can be sent
    /// to.
    Result<void> reconfigure(Options options);
    Result<void> stop(Deadline deadline) override;
    Taken on_events(const Events& events) override;
    void status(json::Writer& object) const override;

  private:
    /// What a collector that a reload brought has yet to be told: the live flows, a part of them at a time.
    struct Introduction {
        std::uint64_t slices;                         ///< a flow belongs to slice flow_id % slices
        std::uint64_t slice = 0;                      ///< those before it are done
        std::unordered_set<std::uint64_t> told = {};  ///< flows of this slice and later ones that it knows of already

        void note(const EventView& event);
    };

    /// One of options_.all_collectors(), alive.
    struct Collector {
        std::unique_ptr<net::HostedTarget> target;
        firefly::Layout layout;  ///< max_size as configured
        std::unique_ptr<Counters> counters;
        firefly::Stream stream;
        std::uint64_t bit;  ///< of FlowMemory::Flow::collectors
        std::optional<Introduction> owed = {};

        /// What fits it now.
        [[nodiscard]] firefly::Layout present_layout() const;
    };

    [[nodiscard]] std::string summary() const;
    void explain(std::size_t index, const flowd_flow& flow, Explanations& explanations) const;
    void explain_destination(std::size_t index, const flowd_flow& flow, const FlowMemory::Flow& told,
                             Explanations& explanations) const;
    [[nodiscard]] Collector make_collector(const Options& options, const firefly_backend::Collector& configured);
    [[nodiscard]] Result<Timer> ongoing_timer(const Options& options);
    /// Goes on with every introduction whose collector can be sent to.
    void introduce();
    void introduce(Collector& collector);
    void send(const EventView& event, std::int64_t now_ns);
    /// False: it knows nothing of the event, for there was no room.
    bool send_to(Collector& collector);
    void send_to_destination(const EventView& event);
    /// Composes the firefly of an event. False: no firefly is sent for this event.
    [[nodiscard]] bool begin(const EventView& event, std::int64_t now_ns);
    [[nodiscard]] bool is_peer(const std::optional<Endpoint>& target) const;
    [[nodiscard]] bool wanted(const EventView& event);
    void flush();
    void send_ongoing();
    void publish();
    /// As configured, and as a STUN server told.
    [[nodiscard]] Composer::Mapping public_addresses() const;
    void skip(Skip reason) { ++skipped_[static_cast<std::size_t>(reason)]; }
    /// `whose`: whom the firefly that is being sent does not go to.
    void skip(Skip reason, Skip FlowMemory::Flow::*whose) {
        skip(reason);
        if (flow_ != nullptr) flow_->*whose = reason;
    }

    Options options_;
    std::optional<Composer> composer_;
    FlowMemory flows_;
    FlowMemory::Flow* flow_ = nullptr;  ///< of the event that is being sent; null: it is not known
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
    std::uint64_t unnumbered_ = 0;  ///< fireflies without room for the member `flowd`

    Counters destination_counters_, counters_;
    Timer second_timer_, ongoing_;
};

}  // namespace flowd::firefly_backend
