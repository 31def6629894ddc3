// SPDX-License-Identifier: Apache-2.0
// core/flows/socket_probe.hpp: the TCP connections that the kernel has, to expire flows whose end was lost.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "flowd/abi/event.h"
#include "flowd/address.hpp"
#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

/// An interface: tests replace the kernel. Used on the thread that calls Bus::tick.
class SocketProbe {
  public:
    using Visitor = std::function<void(const flowd_key& tuple)>;
    virtual ~SocketProbe() = default;
    /// Passes each connection that is neither listening nor in TIME_WAIT: local end as source, scope 0 and, for
    /// link-local addresses, the interface as zone. An error means
    /// that the dump is incomplete and must not be used.
    virtual Result<void> dump(const Visitor& visitor) = 0;
    /// The addresses of this network namespace, without the loopback networks. Errors as above.
    virtual Result<std::vector<Address>> addresses() = 0;
    /// Any thread: a running dump, and each later one, ends soon with an error.
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
    UniqueFd interrupted_;  ///< an eventfd; without it a dump runs until the kernel has answered
};

}  // namespace flowd::core
