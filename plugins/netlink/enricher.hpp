// SPDX-License-Identifier: Apache-2.0
// The netlink enricher: TCP information of all live flows, from one dump of the kernel's sockets per period.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "flowd/counters.hpp"
#include "flowd/module.hpp"
#include "lib/diag/flow_index.hpp"
#include "lib/diag/socket.hpp"
#include "lib/diag/streak.hpp"

namespace flowd::netlink {

struct EnricherOptions {
    std::uint8_t protocol = 6;
    std::uint8_t extensions = 255;
    std::uint32_t states = 3071;
    static const Table<EnricherOptions>& table();
};

/// The cost of a period depends on the number of sockets, not on the number of flows or backends.
class NetlinkEnricher final : public Enricher {
  public:
    using Options = EnricherOptions;
    static constexpr Info info{.name = "netlink",
                               .summary = "Samples TCP information of live flows with sock_diag, once per period."};
    /// A flow whose socket was missing for this time has ended. Long enough for the announced end to arrive first.
    static constexpr std::chrono::seconds gone_after{10};

    NetlinkEnricher(Host& host, Options options);
    static void validate(const Options& options, Problems& problems);
    Result<void> prepare() override;
    void sample(const FlowBatch& flows, bool last, Samples& samples) override;
    [[nodiscard]] std::vector<Finding> findings() const;
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);
    void status(json::Writer& object) const override;

  private:
    void take_dump(Samples& samples);
    void add(const diag::Connection& connection, std::int64_t now, Samples& samples);

    Options options_;
    std::optional<diag::Socket> socket_;
    diag::FlowIndex index_;
    bool collecting_ = false;  ///< flows of this period were received

    std::uint64_t dumps_ = 0, failures_ = 0, samples_ = 0, gone_ = 0, sockets_ = 0;
    std::chrono::microseconds last_dump_{};
    std::string last_error_;
    diag::Streak streak_{host(), "the samples of a period were not complete"};
    Counters counters_;
};

}  // namespace flowd::netlink
