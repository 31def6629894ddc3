// SPDX-License-Identifier: Apache-2.0
// backends/marker/marker.hpp: the backend. Lives on its instance's thread, in the core's loop.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "backends/marker/attachments.hpp"
#include "backends/marker/interfaces.hpp"
#include "backends/marker/options.hpp"
#include "backends/marker/program.hpp"
#include "backends/marker/tag_table.hpp"
#include "flowd/module.hpp"

namespace flowd::marker {

class Marker final : public Backend {
  public:
    using Options = marker::Options;
    static constexpr Info info{.name = "marker",
                               .summary = "Writes the tag of a flow into the IPv6 flow label of its outgoing packets.",
                               .accepts = 1u << FLOWD_EVENT_START | 1u << FLOWD_EVENT_ONGOING | 1u << FLOWD_EVENT_END |
                                          1u << FLOWD_EVENT_CATCH_ALL | 1u << FLOWD_EVENT_CATCH_ALL_CLEAR};

    Marker(Host& host, Options options);

    static void validate(const Options& options, Problems& problems) { Options::validate(options, problems); }
    static std::vector<Command<Marker>> commands();

    Result<void> prepare() override;
    Result<void> start() override;
    void on_events(const Events& events) override;
    Result<void> stop(Deadline deadline) override;
    void status(json::Writer& object) const override;

  private:
    [[nodiscard]] Result<void> load();
    /// Attaches to what is there now. At the start an interface that refuses is an error; later it is reported and tried
    /// again with the next change.
    Result<void> attach(bool starting);
    Result<void> missing(const Interfaces::Found& found);
    void on_change();
    void start_flow(const flowd_event& event);
    void refill();

    Result<void> command_status(const std::vector<std::string_view>& arguments, json::Writer& answer);
    Result<void> command_mode(const std::vector<std::string_view>& arguments, json::Writer& answer);
    Result<void> command_clean(const std::vector<std::string_view>& arguments, json::Writer& answer);

    Options options_;
    Interfaces interfaces_;
    std::optional<Program> program_;
    std::optional<TagTable> table_;
    std::optional<Attachments> attachments_;
    std::optional<bpf::Netlink> changes_;
    std::vector<std::string> missing_;
    bool has_lost_flows_ = false;  // some did not fit the table
    bool said_full_ = false;
    Watch change_watch_;
    Timer catch_all_timer_;
};

}  // namespace flowd::marker
