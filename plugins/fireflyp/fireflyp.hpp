// SPDX-License-Identifier: Apache-2.0
// The fireflyp plugin: receives fireflies over UDP and announces their flows.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "flowd/module.hpp"
#include "flowd/publisher.hpp"
#include "plugins/fireflyp/options.hpp"
#include "plugins/fireflyp/reader.hpp"
#include "plugins/fireflyp/verify.hpp"

namespace flowd::fireflyp {

class Fireflyp final : public Plugin {
  public:
    using Options = FireflypOptions;
    static constexpr Info info{.name = "fireflyp",
                               .summary = "Receives fireflies over UDP and announces their flows.",
                               .aliases = {"firefly"},
                               .precedence = FLOWD_PRECEDENCE_EXPLICIT};

    Fireflyp(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { FireflypOptions::validate(options, problems); }
    static std::vector<Tool> tools() { return {verify_tool()}; }
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> stop(Deadline deadline) override;
    void on_room() override;
    void status(json::Writer& object) const override;
    std::vector<Finding> findings() const;
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);

  private:
    /// Opens the sockets of all readers at an address.
    Result<void> open(const Endpoint& endpoint);
    void settle();
    void publish();
    /// Sums up the counts of the readers.
    void count() const;

    Options options_;
    Common common_;
    std::deque<Reader> readers_;
    std::vector<std::string> addresses_;  ///< at which it receives
    mutable Tally tally_;                 ///< as of the last count()
    Counters counters_;
    Publisher publisher_{host(), [this] { publish(); }, [this] { settle(); }};
};

}  // namespace flowd::fireflyp
