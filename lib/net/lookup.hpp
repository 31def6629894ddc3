// SPDX-License-Identifier: Apache-2.0
// lib/net/lookup.hpp: resolves names with the system's resolver, without blocking. A Lookup is used by one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flowd/address.hpp"
#include "flowd/result.hpp"

namespace flowd::net {

/// An interface, so that tests can supply answers.
class Lookup {
  public:
    using Answer = Result<std::vector<Address>>;

    Lookup() = default;
    Lookup(const Lookup&) = delete;
    Lookup& operator=(const Lookup&) = delete;
    virtual ~Lookup() = default;

    /// Begins a query; no effect while one is pending.
    virtual void begin(const std::string& name) = 0;
    [[nodiscard]] virtual bool pending() const = 0;
    /// Returns the answer once, when it is available. Addresses are in order of preference (RFC 6724).
    [[nodiscard]] virtual std::optional<Answer> poll() = 0;
};

/// getaddrinfo(3) on the calling thread: blocks while name servers do not answer, one second for each.
[[nodiscard]] Lookup::Answer resolve(const std::string& name);

/// getaddrinfo(3) on a thread for each query, which the destructor joins. A query cannot be interrupted, but gives each
/// name server one second: the destructor waits for a second for each name server that resolv.conf(5) names (three at
/// most), twice that if it has a search list. Longer only if another source of nsswitch.conf(5) takes longer.
[[nodiscard]] std::unique_ptr<Lookup> system_lookup();

}  // namespace flowd::net
