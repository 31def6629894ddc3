// SPDX-License-Identifier: Apache-2.0
// What is shown of a TCP connection: flowd-go's names for members of struct tcp_info. A constant table.
#pragma once

#include <span>

#include "lib/net/tcp_info.hpp"

namespace flowd::metrics {

struct TcpFigure {
    const char* name;
    const char* help;
    net::TcpMember member;
};

/// Names that end in _total are counters. flowd-go has them all as gauges; queries do not see the difference.
[[nodiscard]] std::span<const TcpFigure> tcp_figures();

/// 1, with the congestion control algorithm as a label.
inline constexpr const char* tcp_algorithm_name = "flow_tcp_rcv_ca_info";
inline constexpr const char* tcp_algorithm_help = "Congestion control algorithm.";

}  // namespace flowd::metrics
