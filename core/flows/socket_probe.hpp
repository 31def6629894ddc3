// SPDX-License-Identifier: Apache-2.0
// core/flows/socket_probe.hpp: which TCP connections the kernel knows, for the expiry of flows whose end got lost.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "flowd/abi/event.h"
#include "flowd/address.hpp"
#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

/// A seam: tests bring their own kernel. Used on the thread that calls Bus::tick.
class SocketProbe {
  public:
    using Visitor = std::function<void(const flowd_key& tuple)>;
    virtual ~SocketProbe() = default;
    /// Tells every connection that is neither listening nor in TIME_WAIT, local end as source, scope 0 and, of
    /// link-local addresses, the interface as zone. An error means
    /// that the picture is incomplete and must not be used.
    virtual Result<void> dump(const Visitor& visitor) = 0;
    /// Of this network namespace, besides the loopback networks. An error as above.
    virtual Result<std::vector<Address>> addresses() = 0;
    /// Any thread: a dump that is under way, and each later one, ends soon with an error.
    virtual void interrupt() {}
};

/// NETLINK_SOCK_DIAG in the calling thread's network namespace: one dump per address family, no privilege needed.
class KernelSocketProbe final : public SocketProbe {
  public:
    KernelSocketProbe();
    Result<void> dump(const Visitor& visitor) override;
    Result<std::vector<Address>> addresses() override;
    void interrupt() override;

  private:
    UniqueFd interrupted_;  ///< an eventfd; without one a dump goes on until the kernel has answered
};

}  // namespace flowd::core
