// SPDX-License-Identifier: Apache-2.0
// Sends to the destinations of flows. [instance]
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "flowd/module.hpp"
#include "lib/firefly/flowd_member.hpp"
#include "lib/net/address_hash.hpp"
#include "lib/net/own_sockets.hpp"
#include "lib/net/sender.hpp"

namespace flowd::firefly_backend {

/// Most destinations do not listen. Their ICMP errors are ignored, so the sockets are not connected.
class Destinations {
  public:
    explicit Destinations(Host& host) : host_(host), own_(host) {}

    enum class Answer { queued, not_a_host, ourselves, no_room };

    /// An address family that this kernel lacks is not an error: it has no flows of that family.
    void open();
    /// `zone`: of the flow's key. `path` and `max_size`: for the member `flowd`.
    Answer push(std::string_view datagram, const Endpoint& to, std::uint32_t zone, const firefly::Path& path,
                std::size_t max_size);
    void flush();
    void stop(const Deadline& deadline);
    [[nodiscard]] net::SenderCounts counts() const;
    void status(json::Writer& object) const;

  private:
    struct Way {
        net::Sender sender{4096};
        Watch writable;  // declared after the socket: destroyed before it
    };
    void flush(Way& way);
    [[nodiscard]] firefly::Stream& stream_of(const Address& address);

    Host& host_;
    net::OwnReceivers own_;
    Way v4_, v6_;
    std::uint64_t boot_ = firefly::this_boot();
    std::unordered_map<Address, firefly::Stream, net::AddressHash> streams_;
    std::string numbered_;
};

}  // namespace flowd::firefly_backend
