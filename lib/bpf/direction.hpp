// SPDX-License-Identifier: Apache-2.0
// lib/bpf/direction.hpp: the two hooks of traffic control, as seen from this host. Pure.
#pragma once

namespace flowd::bpf {

enum class Direction { ingress, egress };

[[nodiscard]] constexpr const char* name_of(Direction direction) {
    return direction == Direction::egress ? "egress" : "ingress";
}

}  // namespace flowd::bpf
