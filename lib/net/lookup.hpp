// SPDX-License-Identifier: Apache-2.0
// lib/net/lookup.hpp: asks the system's resolver without ever waiting for it. A Lookup belongs to one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flowd/address.hpp"
#include "flowd/result.hpp"

namespace flowd::net {

/// A seam: tests answer by hand.
class Lookup {
  public:
    using Answer = Result<std::vector<Address>>;

    Lookup() = default;
    Lookup(const Lookup&) = delete;
    Lookup& operator=(const Lookup&) = delete;
    virtual ~Lookup() = default;

    /// Begins; does nothing while one is under way.
    virtual void begin(const std::string& name) = 0;
    [[nodiscard]] virtual bool pending() const = 0;
    /// The answer, once, when it is there. Addresses are in the order of preference (RFC 6724).
    [[nodiscard]] virtual std::optional<Answer> poll() = 0;
};

/// getaddrinfo_a(3): the threads are the C library's, which has no way to interrupt a query. Destroying a lookup under way
/// therefore leaves its few hundred bytes to the C library; nothing waits for it.
[[nodiscard]] std::unique_ptr<Lookup> system_lookup();

}  // namespace flowd::net
