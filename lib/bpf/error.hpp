// SPDX-License-Identifier: Apache-2.0
// lib/bpf/error.hpp: errors of BPF and traffic control calls, with their remedy. Pure functions, except reading /proc and
// querying the kernel.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "flowd/result.hpp"
#include "lib/bpf/messages.hpp"
#include "lib/kernel/features.hpp"

namespace flowd::bpf {

/// An error of a BPF or traffic control call: FLOWD_INVALID becomes FLOWD_UNSUPPORTED, because the arguments of these calls
/// are this program's own, and FLOWD_DENIED gets a hint that names the capability this thread lacks, if that is the reason.
[[nodiscard]] Error bpf_error(Error error);
/// The same of an errno, of either sign: "what: Operation not permitted".
[[nodiscard]] Error system_error(int number, std::string_view what);

/// Why the kernel did not load an object: a capability that this thread lacks, the first of `needs` that the kernel lacks,
/// or the verdict of the verifier; otherwise as system_error.
[[nodiscard]] Error load_error(int number, const std::string& what, const Heard& heard,
                               std::span<const std::string_view> needs,
                               const kernel::Features& features = kernel::Features());

}  // namespace flowd::bpf
