// SPDX-License-Identifier: Apache-2.0
// lib/bpf/ownership.hpp: tells a living instance's tc filters from those that a killed one left behind.
// Thread-aware, not thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::bpf {

/// A handle for one instance's filters. For as long as it lives, an abstract Unix socket named after its role and handle
/// exists in this network namespace; the kernel removes it with the process, however that ends.
class Ownership {
  public:
    /// `role`: "marker"; those of different roles know nothing of each other.
    [[nodiscard]] static Result<Ownership> claim(const std::string& role);
    /// Whether some instance of that role owns the filters of that handle now.
    [[nodiscard]] static bool is_alive(const std::string& role, std::uint32_t handle);

    [[nodiscard]] const std::string& role() const { return role_; }
    [[nodiscard]] std::uint32_t handle() const { return handle_; }
    [[nodiscard]] int fd() const { return socket_.get(); }

  private:
    Ownership(std::string role, std::uint32_t handle, UniqueFd socket)
        : role_(std::move(role)), handle_(handle), socket_(std::move(socket)) {}
    std::string role_;
    std::uint32_t handle_;
    UniqueFd socket_;
};

}  // namespace flowd::bpf
