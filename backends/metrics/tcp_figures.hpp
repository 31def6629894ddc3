// SPDX-License-Identifier: Apache-2.0
// The exported figures of TCP connections: flowd-go's names for members of struct tcp_info. A constant table.
#pragma once

#include <span>

#include "lib/net/tcp_info.hpp"

namespace flowd::metrics {

struct TcpFigure {
    const char* name;
    const char* help;
    net::TcpMember member;
};

/// Names that end in _total are counters. In flowd-go all are gauges, which makes no difference to queries.
[[nodiscard]] std::span<const TcpFigure> tcp_figures();

/// Its value is 1; the congestion control algorithm is a label.
inline constexpr const char* tcp_algorithm_name = "flow_tcp_rcv_ca_info";
inline constexpr const char* tcp_algorithm_help = "Congestion control algorithm.";

}  // namespace flowd::metrics
