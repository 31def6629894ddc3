// SPDX-License-Identifier: Apache-2.0
// lib/net/target_findings.hpp: why datagrams do not reach a target, as findings. Belongs to the thread of the target.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flowd/findings.hpp"
#include "lib/net/target.hpp"

namespace flowd::net {

/// How a component names them: stable ids, documented in docs/monitoring.md.
struct TargetFindings {
    const char* unresolved;
    const char* unroutable;
    const char* silent;
    const char* unreachable;

    void add(std::vector<Finding>& all, const Target& target) const;
    /// The same without an instance: resolves the name and asks the kernel for a route. Blocks while it resolves the name.
    void add_host(std::vector<Finding>& all, const std::string& host, std::uint16_t port) const;

  private:
    [[nodiscard]] Finding finding_of(Target::Trouble trouble, const std::string& target, const std::string& why) const;
};

/// For the summary of an instance: "collector.example.org:10514: resolving since 12:03 UTC". Includes the date if that is
/// not today; a long name is truncated.
[[nodiscard]] std::string trouble_text(const Target& target);

}  // namespace flowd::net
