// SPDX-License-Identifier: Apache-2.0
// lib/net/tcp_info.hpp: the one place that reads the kernel's struct tcp_info. Pure functions.
// Source: include/uapi/linux/tcp.h. The struct grows at its end, so the length of what a kernel gave tells what it holds.
#pragma once

#include <cstdint>
#include <optional>

#include "flowd/abi/base.h"

namespace flowd::net {

/// Smoothed round trip time in microseconds (tcpi_rtt). Nothing when the bytes are too short, or before the first sample.
[[nodiscard]] std::optional<std::uint32_t> rtt_us(flowd_bytes tcp_info);

}  // namespace flowd::net
