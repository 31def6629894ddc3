// SPDX-License-Identifier: Apache-2.0
// plugins/netlink/candidates.hpp: which connections can be flows at all, before the rules are asked. For one thread.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "flowd/event.hpp"
#include "plugins/netlink/options.hpp"
#include "plugins/netlink/rules.hpp"
#include "plugins/netlink/verdicts.hpp"

namespace flowd::netlink {

/// What is known of this host: its addresses, and the sockets that listen. As of the last dump.
class Candidates {
  public:
    explicit Candidates(const PluginOptions& options);

    void use_addresses(std::vector<Address> own) { own_addresses_ = std::move(own); }
    void forget_listeners() { listening_.clear(); }
    void add_listener(const Endpoint& local) { listening_.emplace(local.port, local.address); }

    /// TCP: incoming if a socket listens on the local end.
    [[nodiscard]] Direction direction_of(std::uint8_t protocol, const Endpoint& local) const;
    [[nodiscard]] bool is_own_address(const Address& address) const;
    /// Why a connection is no candidate: its remote end is internal, or the end that connected represents it. Empty: it is
    /// one.
    [[nodiscard]] std::optional<Verdict> exclusion(const Endpoint& remote, Direction direction) const;
    /// Networks whose connections are not flows.
    [[nodiscard]] const std::vector<Network>& left_alone() const { return left_alone_; }

  private:
    std::vector<Network> left_alone_;
    std::vector<Address> own_addresses_;
    std::unordered_multimap<std::uint16_t, Address> listening_;
};

/// "rules[2]"; empty for the plugin's own tag.
[[nodiscard]] std::string rule_name(const Decision& decision);

/// The verdict on a decision of the rules that is not `tagged`.
[[nodiscard]] Verdict verdict_of(const Decision& decision);

}  // namespace flowd::netlink
