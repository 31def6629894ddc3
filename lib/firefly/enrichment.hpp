// SPDX-License-Identifier: Apache-2.0
// lib/firefly/enrichment.hpp: what an enricher's sample says in a firefly. Pure functions, any thread.
#pragma once

#include <optional>
#include <string_view>

#include "flowd/abi/event.h"
#include "lib/firefly/blocks.hpp"

namespace flowd::firefly {

/// How much a block tells, as flowd-go's `enrichmentMode` has it. `rtt` (float, ms) stands in front of each.
///   lean        {"rtt":..,"cong":{..},"tcpInfo":{a dozen members}}           some 250 bytes
///   compatible  {"rtt":..,"state":"established",...}: flat, as flowd's       some 900 bytes
///   full        {"rtt":..,"cong":{..},"tcpInfo":{whatever the kernel gave}}  some 1300 bytes
enum class Verbosity : std::uint8_t { lean, compatible, full };

/// Under which name the samples of an enricher travel: "netlink", flowd-go's "skOps" for skops, else the enricher's own.
[[nodiscard]] std::string_view block_name(std::string_view source);

/// Nothing when the sample brings no tcp_info. Members that the kernel did not give are absent.
[[nodiscard]] std::optional<NormalBlock> sample_block(const flowd_sample& sample, Verbosity verbosity);

}  // namespace flowd::firefly
