// SPDX-License-Identifier: Apache-2.0
// What `flowd-cpp setup` looks at on this host. Read once; no thread concerns.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/result.hpp"

namespace flowd::core {

/// A network interface other than loopback.
struct Nic {
    std::string name;
    int speed_mbps = 0;                  ///< 0: unknown
    std::vector<std::string> addresses;  ///< with prefix; without link-local ones
    bool global_ipv6 = false;            ///< 2000::/3 or a unique local address
    bool default_ipv6 = false;           ///< a default route of any table leads to it
    bool default_ipv4 = false;

    [[nodiscard]] std::string to_string() const;
};

/// In the order of their indexes.
[[nodiscard]] Result<std::vector<Nic>> list_nics();

/// The interfaces that traffic most likely leaves by: with an IPv6 default route, else with a default route, else with a
/// global IPv6 address, else all.
[[nodiscard]] std::vector<std::string> likely_nics(const std::vector<Nic>& nics);

/// The words of NIC_NAMES=(...) in a shell script. Nothing if the file does not exist or does not set it.
[[nodiscard]] std::vector<std::string> nic_names_of(const std::filesystem::path& script);

/// A process that does the same work as this daemon.
struct Predecessor {
    std::string name;
    pid_t pid = 0;
    std::string unit;           ///< the control group that it is in: "flowd-go.service"
    bool in_container = false;  ///< in another PID or mount namespace than this process

    [[nodiscard]] Error to_error() const;
};

/// Of this network namespace.
[[nodiscard]] std::optional<Predecessor> find_predecessor(const std::vector<std::string>& names,
                                                          const std::filesystem::path& proc = "/proc");

}  // namespace flowd::core
