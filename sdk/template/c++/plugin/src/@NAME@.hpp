// SPDX-License-Identifier: Apache-2.0
// A source of flow events: announces one flow, as configured, for as long as it runs.
#pragma once

#include <cstdint>

#include "flowd/module.hpp"
#include "flowd/outbox.hpp"

namespace @NAME@_module {

struct Options {
    flowd::Address source;
    std::uint16_t source_port = 0;
    flowd::Address destination;
    std::uint16_t destination_port = 0;
    std::uint32_t experiment = 0;
    std::uint32_t activity = 0;
    static const flowd::Table<Options>& table();
};

class @CLASS@ final : public flowd::Plugin {
  public:
    using Options = @NAME@_module::Options;
    // If several plugins announce one flow, the tag of the highest precedence applies. RULE: the tag is in the configuration, as
    // here. EXPLICIT: the application said which experiment it works for. METER: the flow was observed, nobody announced it.
    static constexpr flowd::Info info{.name = "@NAME@",
                                      .summary = "Announces one TCP flow for as long as it runs.",
                                      .precedence = FLOWD_PRECEDENCE_RULE};

    @CLASS@(flowd::Host& host, Options options) : Plugin(host), options_(options) {}

    static void validate(const Options& options, flowd::Problems& problems);
    flowd::Result<void> start() override;
    flowd::Result<void> reconfigure(Options options);
    flowd::Result<void> stop(flowd::Deadline deadline) override;
    void on_room() override { outbox_.drain(); }
    void status(flowd::json::Writer& object) const override;

  private:
    flowd::Result<void> announce();

    Options options_;
    bool announced_ = false;
    flowd::Outbox outbox_{host()};
};

}  // namespace @NAME@_module
