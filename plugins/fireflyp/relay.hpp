// SPDX-License-Identifier: Apache-2.0
// Relays datagrams unchanged. [instance] without a tag.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
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
    /// [any] Appends the receivers that were sent it, now or within the filter's window, in the form of
    /// Provenance::receivers, to `passed`. `port`: local port at which the datagram was received.
    void pass(const net::Datagram& datagram, const firefly::Firefly& firefly, std::uint16_t port,
              Damper::Clock::time_point now, std::string& passed);
    /// [any] Sends what was passed.
    void flush();
    void stop(const Deadline& deadline);
    void publish();
    void status(json::Writer& object) const;
    void add_findings(std::vector<Finding>& all) const;
    /// The same without an instance.
    static void add_host_findings(std::vector<Finding>& all, const std::vector<Receiver>& receivers);
    [[nodiscard]] bool active() const { return !targets_.empty(); }

  private:
    [[nodiscard]] bool within_limit(const firefly::Firefly& firefly, Damper::Clock::time_point now);
    void settle();

    Host& host_;
    net::OwnReceivers own_;
    std::vector<std::unique_ptr<net::HostedTarget>> targets_;
    std::atomic<bool> settles_ = false;  ///< settle() was posted
    Damper damper_;
    std::mutex mutex_;  ///< of limit_
    FlowLimit limit_;
    std::atomic<std::uint64_t> damped_ = 0;
    std::atomic<std::uint64_t> limited_ = 0;
    std::deque<Counters> target_counters_;
    std::optional<Counters> counters_;  ///< if there are receivers
};

}  // namespace flowd::fireflyp
