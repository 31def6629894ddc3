// SPDX-License-Identifier: Apache-2.0
// backends/marker/ownership.hpp: tells a living marker's tc filters from those that a killed one left behind.
// Thread-aware, not thread-safe.
#pragma once

#include <cstdint>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::marker {

/// A handle for this instance's filters. For as long as it lives, an abstract Unix socket named after the handle exists in
/// this network namespace; the kernel removes it with the process, however that ends.
class Ownership {
  public:
    [[nodiscard]] static Result<Ownership> claim();
    /// Whether some marker owns the filters of that handle now.
    [[nodiscard]] static bool is_alive(std::uint32_t handle);

    [[nodiscard]] std::uint32_t handle() const { return handle_; }
    [[nodiscard]] int fd() const { return socket_.get(); }

  private:
    Ownership(std::uint32_t handle, UniqueFd socket) : handle_(handle), socket_(std::move(socket)) {}
    std::uint32_t handle_;
    UniqueFd socket_;
};

}  // namespace flowd::marker
