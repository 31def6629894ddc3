// SPDX-License-Identifier: Apache-2.0
// The skops enricher: TCP information of live flows, by BPF.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "flowd/counters.hpp"
#include "flowd/module.hpp"
#include "lib/diag/flow_index.hpp"
#include "lib/diag/streak.hpp"
#include "plugins/skops/options.hpp"
#include "plugins/skops/program.hpp"

namespace flowd::skops {

/// poll: one walk through the kernel's sockets per period, whatever the number of flows. transition: the latest change of
/// state of each connection, as reported by the kernel.
class Skops final : public Enricher {
  public:
    using Options = SkopsOptions;
    static constexpr Info info{.name = "skops", .summary = "Samples TCP information of live flows with BPF."};
    /// The same value as the netlink enricher's.
    static constexpr std::chrono::seconds gone_after{10};
    /// Limit of connections whose latest change of state waits for the next period.
    static constexpr std::size_t max_kept = 262'144;

    Skops(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { SkopsOptions::validate(options, problems); }
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> stop(Deadline deadline) override;
    void sample(const FlowBatch& flows, bool last, Samples& samples) override;
    void status(json::Writer& object) const override;

  private:
    void keep(const skops_record& record);
    void take_walk(Samples& samples);
    void take_kept(Samples& samples);
    void add(const skops_record& record, Samples& samples);

    Options options_;
    std::optional<Program> program_;
    diag::FlowIndex index_;
    bool collecting_ = false;                               ///< some flows of this period were received
    std::unordered_map<std::uint64_t, skops_record> kept_;  ///< transition: by cookie
    std::int64_t monotonic_to_unix_ns_ = 0;

    std::uint64_t walks_ = 0, failures_ = 0, samples_ = 0, gone_ = 0, sockets_ = 0, not_kept_ = 0;
    std::chrono::microseconds last_period_{};
    std::string last_error_;
    diag::Streak streak_{host(), "the samples of a period were not complete"};
    Counters counters_;
    Watch readable_;  // declared after the program: destroyed before its descriptor is closed
};

}  // namespace flowd::skops
