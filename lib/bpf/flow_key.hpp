// SPDX-License-Identifier: Apache-2.0
// lib/bpf/flow_key.hpp: the key of a flow in BPF maps. Pure.
#pragma once

#include <arpa/inet.h>

#include <cstring>

#include "bpf/lib/flow_hash.h"
#include "flowd/abi/event.h"

namespace flowd::bpf {

/// The same for both orientations of the flow, which `source_is_low` tells apart. It does not contain the scope: BPF
/// programs see one network namespace.
[[nodiscard]] inline flow_key to_flow_key(const flowd_key& key, bool* source_is_low = nullptr) {
    __u64 source[2];
    __u64 destination[2];
    std::memcpy(source, key.source, sizeof source);
    std::memcpy(destination, key.destination, sizeof destination);
    flow_key made{};
    const int is_low =
        flow_key_make(&made, source, destination, htons(key.source_port), htons(key.destination_port), key.protocol);
    if (source_is_low != nullptr) *source_is_low = is_low != 0;
    return made;
}

}  // namespace flowd::bpf
