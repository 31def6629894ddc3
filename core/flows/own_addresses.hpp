// SPDX-License-Identifier: Apache-2.0
// core/flows/own_addresses.hpp: the addresses of this network namespace at one moment. A value.
#pragma once

#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/flows/flow_store.hpp"
#include "flowd/abi/event.h"
#include "flowd/address.hpp"

namespace flowd::core {

class OwnAddresses {
  public:
    OwnAddresses() = default;
    explicit OwnAddresses(std::vector<Address> addresses) : addresses_(std::move(addresses)) {
        std::sort(addresses_.begin(), addresses_.end());
    }

    /// FLOWD_LOCAL_*. Unknown if neither end has such an address: the flow may be of a container or of another host.
    [[nodiscard]] std::uint8_t local_of(const flowd_key& key) const {
        if (key.scope != 0) return FLOWD_LOCAL_UNKNOWN;
        const bool source = is_own(source_of(key).address), destination = is_own(destination_of(key).address);
        if (source && destination) return FLOWD_LOCAL_BOTH;
        if (source) return FLOWD_LOCAL_SOURCE;
        if (destination) return FLOWD_LOCAL_DESTINATION;
        return FLOWD_LOCAL_UNKNOWN;
    }
    /// Whether the flow cannot be live without a socket of this network namespace. A meter may see connections that are
    /// forwarded with an address of this host; it detects their end itself.
    [[nodiscard]] bool must_have_socket(const Flow& flow) const {
        const flowd_key& key = flow.key;
        if (key.protocol != IPPROTO_TCP || (flow.flags & FLOWD_METERED) != 0) return false;
        if (flow.local == FLOWD_LOCAL_NONE) return false;
        const bool link_local = has_zone(key.source) || has_zone(key.destination);
        if (link_local && key.zone == 0) return false;  // the kernel lists it with a zone that was not announced
        return local_of(key) != FLOWD_LOCAL_UNKNOWN;
    }

  private:
    [[nodiscard]] bool is_own(const Address& address) const {
        return address.is_loopback() || std::binary_search(addresses_.begin(), addresses_.end(), address);
    }
    std::vector<Address> addresses_;
};

}  // namespace flowd::core
