// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/error.hpp"

#include <cerrno>
#include <cstdlib>

#include "lib/kernel/capabilities.hpp"

namespace flowd::bpf {
namespace {

constexpr int not_supported = 524;  // ENOTSUPP, linux/errno.h of the kernel: strerror does not know it

}  // namespace

Error bpf_error(Error error) {
    if (error.code == FLOWD_INVALID) error.code = FLOWD_UNSUPPORTED;
    if (error.code != FLOWD_DENIED) return error;
    const std::string missing = kernel::missing_capabilities();
    error.hint = missing.empty() ? "no capability is missing: check LSM policies and, in a container, its seccomp profile"
                                 : "run as root, or give the service " + missing + " (AmbientCapabilities= in its unit)";
    return error;
}

Error system_error(int number, std::string_view what) {
    number = std::abs(number);
    return bpf_error(Error::from_errno(number == not_supported ? EOPNOTSUPP : number, what));
}

Error load_error(int number, const std::string& what, const Heard& heard, std::span<const std::string_view> needs,
                 const kernel::Features& features) {
    Error error = system_error(number, what);
    if (error.code == FLOWD_DENIED && !kernel::missing_capabilities().empty()) return error;
    if (const auto feature = features.first_lacking(needs)) return feature->error().within(what);
    if (std::abs(number) == not_supported)
        if (const auto compiler = features.lacking("JIT")) return compiler->error().within(what);
    if (!heard.verdict.empty()) {
        error.code = FLOWD_UNSUPPORTED;
        error.message = what + ": the verifier of the kernel (" + features.look("kernel").found + ") rejects the program " +
                        heard.program + ": " + heard.verdict;
        error.hint = "use a kernel that docs/kernels.md lists, or report it with the lines that --log-level debug prints";
    } else if (error.code != FLOWD_DENIED && !heard.warning.empty()) {
        error.message += " (" + heard.warning + ")";
    }
    return error;
}

}  // namespace flowd::bpf
