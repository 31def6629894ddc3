// SPDX-License-Identifier: Apache-2.0
// lib/kernel/capabilities.hpp: the capabilities that BPF programs and traffic control need (capabilities(7)). Reads /proc.
#pragma once

#include <string>
#include <string_view>

namespace flowd::kernel {

/// A set of capabilities of a thread: the effective ones, or the bounding set.
enum class CapabilitySet { effective, bounding };

/// The names of those of CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON that are not in the set of this thread: "CAP_BPF,
/// CAP_NET_ADMIN"; empty: none.
[[nodiscard]] std::string missing_capabilities(CapabilitySet set = CapabilitySet::effective,
                                               std::string_view separator = ", ");

}  // namespace flowd::kernel
