// SPDX-License-Identifier: Apache-2.0
// lib/firefly/enrichment.hpp: an enricher's sample as a block of a firefly. Pure functions, any thread.
#pragma once

#include <optional>
#include <string_view>

#include "flowd/abi/event.h"
#include "lib/firefly/blocks.hpp"

namespace flowd::firefly {

/// How much a block contains: flowd-go's `enrichmentMode`. Its first member is `rtt` (float, ms).
///   lean        {"rtt":..,"cong":{..},"tcpInfo":{a dozen members}}           some 250 bytes
///   compatible  {"rtt":..,"state":"established",...}: flat, as flowd's       some 900 bytes
///   full        {"rtt":..,"cong":{..},"tcpInfo":{all members of the kernel}}  some 1300 bytes
enum class Verbosity : std::uint8_t { lean, compatible, full };

/// The name of the block with the samples of an enricher: "netlink", flowd-go's "skOps" for skops, else the enricher's own.
[[nodiscard]] std::string_view block_name(std::string_view source);

/// Empty if the sample has no tcp_info. Members that the kernel does not have are absent.
[[nodiscard]] std::optional<NormalBlock> sample_block(const flowd_sample& sample, Verbosity verbosity);

}  // namespace flowd::firefly
