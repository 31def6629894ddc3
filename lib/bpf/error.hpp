// SPDX-License-Identifier: Apache-2.0
// lib/bpf/error.hpp: errors of BPF and traffic control calls, with their remedy. Pure functions, except reading /proc.
#pragma once

#include <string>
#include <string_view>

#include "flowd/result.hpp"

namespace flowd::bpf {

/// "what: Operation not permitted", with a hint that names the capability this thread lacks, if that is the reason.
/// `number` is an errno, of either sign.
[[nodiscard]] Error system_error(int number, std::string_view what);

/// A set of capabilities of a thread: the effective ones, or the bounding set (capabilities(7)).
enum class CapabilitySet { effective, bounding };

/// The names of those of CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON that are not in the set of this thread: "CAP_BPF,
/// CAP_NET_ADMIN"; empty: none.
[[nodiscard]] std::string missing_capabilities(CapabilitySet set = CapabilitySet::effective,
                                               std::string_view separator = ", ");

}  // namespace flowd::bpf
