// SPDX-License-Identifier: Apache-2.0
// Ids of senders (flowd_host.sender_id). Any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace flowd::core {

/// Equal ids for equal identities during the lifetime of this object; another object has other, unpredictable
/// ids.
class SenderIds {
  public:
    SenderIds();

    /// `identity`: 16 bytes of an address, or text such as "uid:1000". Never 0. All loopback addresses are one sender.
    [[nodiscard]] std::uint64_t id_of(std::string_view identity) const;

  private:
    std::uint64_t key_[2] = {};
};

/// SipHash-2-4 (Aumasson and Bernstein, 2012).
[[nodiscard]] std::uint64_t sip_hash(const std::uint64_t (&key)[2], std::string_view bytes);

}  // namespace flowd::core
