// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/error.hpp"

#include <cstdlib>
#include <fstream>

namespace flowd::bpf {
namespace {

// linux/capability.h, of which older versions lack the newer numbers.
constexpr struct {
    const char* name;
    unsigned bit;
} needed[] = {{"CAP_BPF", 39}, {"CAP_NET_ADMIN", 12}, {"CAP_PERFMON", 38}};

}  // namespace

std::string missing_capabilities(CapabilitySet set, std::string_view separator) {
    std::ifstream status("/proc/thread-self/status");
    std::string word;
    unsigned long long present = 0;
    while (status >> word) {
        if (word != (set == CapabilitySet::effective ? "CapEff:" : "CapBnd:")) continue;
        status >> std::hex >> present;
        break;
    }
    constexpr unsigned admin = 21;  // CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON
    std::string missing;
    for (const auto& [name, bit] : needed) {
        const bool implied = bit != 12 && (present >> admin & 1) != 0;
        if (implied || (present >> bit & 1) != 0) continue;
        missing.append(missing.empty() ? std::string_view() : separator).append(name);
    }
    return missing;
}

Error system_error(int number, std::string_view what) {
    number = std::abs(number);
    Error error = Error::from_errno(number, what);
    if (error.code != FLOWD_DENIED) return error;
    const std::string missing = missing_capabilities();
    error.hint = missing.empty() ? "no capability is missing: check LSM policies and, in a container, its seccomp profile"
                                 : "run as root, or give the service " + missing + " (AmbientCapabilities= in its unit)";
    return error;
}

}  // namespace flowd::bpf
