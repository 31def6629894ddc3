// SPDX-License-Identifier: Apache-2.0
// The perfSONAR plugin: one tag (the catch-all) for all traffic of this host without a tag of its own, and its flows.
#pragma once

#include <memory>

#include "flowd/module.hpp"
#include "flowd/outbox.hpp"
#include "plugins/perfsonar/metering.hpp"
#include "plugins/perfsonar/options.hpp"

namespace flowd::perfsonar {

class Perfsonar final : public Plugin {
  public:
    using Options = PerfsonarOptions;
    static constexpr Info info{.name = "perfsonar",
                               .summary = "Provides the catch-all tag, and meters and announces the flows of this host.",
                               .precedence = FLOWD_PRECEDENCE_METER};

    Perfsonar(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { Options::validate(options, problems); }
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> stop(Deadline deadline) override;
    Result<void> reconfigure(Options options);
    void on_room() override;
    void status(json::Writer& object) const override;
    [[nodiscard]] std::vector<Finding> findings() const;
    void explain(const FlowBatch& flows, Explanations& explanations) const;
    static void plan(const Options& options, const Connections& connections, Plan& plan, const Offline& core);
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);

  private:
    enum class State { idle, waiting, announced, refused };
    Result<void> announce();
    [[nodiscard]] Error refusal() const { return {refusal_, "the core refused the catch-all tag"}; }
    [[nodiscard]] Result<void> remeter(const Options& options);

    Options options_;
    State state_ = State::idle;
    flowd_result refusal_ = FLOWD_OK;
    Outbox outbox_{host(),
                   [this](bool has_room) {
                       if (has_room && state_ == State::refused) host().report(Problem::from(refusal()));
                   },
                   [this](const Outbox::Settled& settled) {
                       state_ = settled.result == FLOWD_OK ? State::announced : State::refused;
                       refusal_ = settled.result;
                   }};
    std::unique_ptr<Metering> metering_;  // null: flows are not metered
};

}  // namespace flowd::perfsonar
