// SPDX-License-Identifier: Apache-2.0
// backends/marker/capture.hpp: captures the outgoing IP packets of an interface as they are after all tc and TCX hooks: the
// kernel gives packet sockets what it passes to the driver. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "backends/marker/wire.hpp"
#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::marker {

class Capture {
  public:
    /// `interface_index` 0: all interfaces.
    [[nodiscard]] static Result<Capture> open(int interface_index, bool with_ipv4 = false);

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// Reads the queued packets: the first bytes of each, from its IP header on.
    void read(const std::function<void(std::span<const std::uint8_t>)>& each) const;
    /// Packets that were lost since the last call because the buffer was full.
    [[nodiscard]] std::uint32_t missed() const;

  private:
    explicit Capture(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace flowd::marker
