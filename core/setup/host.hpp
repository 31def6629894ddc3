// SPDX-License-Identifier: Apache-2.0
// The properties of this host that `flowd-cpp setup` uses. Read once; not bound to a thread.
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
    bool default_ipv6 = false;           ///< it has a default route, in any table
    bool default_ipv4 = false;
    unsigned index = 0;

    [[nodiscard]] std::string to_string() const;
    /// By its name, an alternative name (`altname` in `ip link`), or a pattern such as "eth*".
    [[nodiscard]] bool is_called(const std::string& name) const;
};

/// Ordered by index.
[[nodiscard]] Result<std::vector<Nic>> list_nics();

/// The interfaces that most likely carry the traffic: those with an IPv6 default route, else with any default route, else
/// with a global IPv6 address, else all.
[[nodiscard]] std::vector<std::string> likely_nics(const std::vector<Nic>& nics);

/// The words of NIC_NAMES=(...) in a shell script. Empty if the file does not exist or does not set it.
[[nodiscard]] std::vector<std::string> nic_names_of(const std::filesystem::path& script);

/// A running process of another SciTags daemon.
struct Predecessor {
    std::string name;
    pid_t pid = 0;
    std::string unit;           ///< of systemd: "flowd-go.service", "docker-0123.scope"; empty: none
    bool in_container = false;  ///< in another PID or mount namespace than this process
    bool own_network = false;   ///< in another network namespace: its interfaces and ports are others

    [[nodiscard]] std::string to_string() const;
    [[nodiscard]] Error to_error() const;
};

/// One in this network namespace, if there is one.
[[nodiscard]] std::optional<Predecessor> find_predecessor(const std::vector<std::string>& names,
                                                          const std::filesystem::path& proc = "/proc");

}  // namespace flowd::core
