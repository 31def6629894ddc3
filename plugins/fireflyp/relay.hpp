// SPDX-License-Identifier: Apache-2.0
// Relays datagrams unchanged. [instance]
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/counters.hpp"
#include "flowd/module.hpp"
#include "lib/net/hosted_target.hpp"
#include "lib/net/own_sockets.hpp"
#include "lib/net/receive_batch.hpp"
#include "plugins/fireflyp/damper.hpp"
#include "plugins/fireflyp/flow_limit.hpp"
#include "plugins/fireflyp/options.hpp"

namespace flowd::fireflyp {

class Relay {
  public:
    Relay(Host& host, const std::vector<Receiver>& receivers, std::chrono::seconds resolve_interval);

    void start();
    /// Returns the receivers that were sent it, now or within the filter's window, in the form of Provenance::receivers.
    /// Valid until the next call. `port`: local port at which the datagram was received.
    std::string_view pass(const net::Datagram& datagram, const firefly::Firefly& firefly, std::uint16_t port,
                          Damper::Clock::time_point now);
    void flush();
    void stop(const Deadline& deadline);
    void publish();
    void status(json::Writer& object) const;
    void add_findings(std::vector<Finding>& all) const;
    /// The same without an instance.
    static void add_host_findings(std::vector<Finding>& all, const std::vector<Receiver>& receivers);
    [[nodiscard]] bool active() const { return !targets_.empty(); }

  private:
    net::OwnReceivers own_;
    std::vector<std::unique_ptr<net::HostedTarget>> targets_;
    Damper damper_;
    FlowLimit limit_;
    std::string passed_;
    std::uint64_t damped_ = 0;
    std::uint64_t limited_ = 0;
    std::deque<Counters> target_counters_;
    std::optional<Counters> counters_;  ///< if there are receivers
};

}  // namespace flowd::fireflyp
