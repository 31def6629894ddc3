// SPDX-License-Identifier: Apache-2.0
// The perfSONAR plugin: one tag for everything this host sends that has no tag of its own.
#pragma once

#include <cstdint>

#include "flowd/module.hpp"

namespace flowd::perfsonar {

struct PerfsonarOptions {
    std::uint32_t experiment = 0;
    std::uint32_t activity = 0;
    static const Table<PerfsonarOptions>& table();
};

class Perfsonar final : public Plugin {
  public:
    using Options = PerfsonarOptions;
    static constexpr Info info{
        .name = "perfsonar",
        .summary = "Marks everything that has no tag of its own as the traffic of one experiment and activity.",
        .precedence = FLOWD_PRECEDENCE_METER};

    Perfsonar(Host& host, Options options);
    static void validate(const Options& options, Problems& problems);
    Result<void> start() override;
    Result<void> stop(Deadline deadline) override;
    Result<void> reconfigure(Options options);
    void on_room() override;
    void status(json::Writer& object) const override;

  private:
    enum class State { idle, waiting, announced, refused };
    Result<void> announce();

    Options options_;
    State state_ = State::idle;
};

}  // namespace flowd::perfsonar
