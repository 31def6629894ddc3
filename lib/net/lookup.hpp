// SPDX-License-Identifier: Apache-2.0
// lib/net/lookup.hpp: resolves names with the system's resolver, without blocking. A Lookup belongs to one thread.
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

/// getaddrinfo(3) here and now: blocks for as long as a name server does not answer, a second for each.
[[nodiscard]] Lookup::Answer resolve(const std::string& name);

/// getaddrinfo(3) on a thread for each query, which the destructor joins. A query cannot be interrupted, but gives each
/// name server one second: the destructor waits for a second for each name server that resolv.conf(5) names (three at
/// most), twice that if it has a search list. Longer only if another source of nsswitch.conf(5) takes longer.
[[nodiscard]] std::unique_ptr<Lookup> system_lookup();

}  // namespace flowd::net
