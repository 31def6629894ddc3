// SPDX-License-Identifier: Apache-2.0
#include "lib/kernel/capabilities.hpp"

#include <fstream>

namespace flowd::kernel {
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

}  // namespace flowd::kernel
