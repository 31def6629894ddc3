// SPDX-License-Identifier: Apache-2.0
#include "lib/net/tcp_info.hpp"

#include <linux/tcp.h>

#include <cstddef>
#include <cstring>

namespace flowd::net {

std::optional<std::uint32_t> rtt_us(flowd_bytes tcp_info) {
    constexpr std::size_t offset = offsetof(struct ::tcp_info, tcpi_rtt);
    std::uint32_t rtt = 0;
    if (tcp_info.data == nullptr || tcp_info.length < offset + sizeof rtt) return std::nullopt;
    std::memcpy(&rtt, tcp_info.data + offset, sizeof rtt);
    return rtt == 0 ? std::nullopt : std::optional(rtt);
}

}  // namespace flowd::net
