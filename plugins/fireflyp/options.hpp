// SPDX-License-Identifier: Apache-2.0
// Options of the fireflyp plugin.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flowd/module.hpp"

namespace flowd::fireflyp {

inline constexpr std::uint16_t firefly_port = 10514;

struct Receiver {
    std::string address;
    std::uint16_t port = firefly_port;
    static const Table<Receiver>& table();
};

struct Bind {
    Address address;
    std::uint16_t port = firefly_port;
    static const Table<Bind>& table();
};

struct FireflypOptions {
    std::optional<Address> bind_address;  ///< absent: both loopbacks
    std::uint16_t bind_port = firefly_port;
    std::vector<Bind> binds;
    std::uint32_t readers = 1;  ///< receivers
    bool reuse_port = false;
    std::vector<Network> allow;
    std::uint32_t rate_per_source = 0;
    std::uint32_t buffer_size = 4096;
    std::uint32_t receive_buffer = 4u << 20;
    std::chrono::seconds deadline{0};
    bool has_syslog_header = false;
    std::vector<Receiver> receivers;
    std::chrono::seconds resolve_interval{60};

    /// That of bindAddress, then those of `binds`. Without bindAddress, first the loopbacks that `binds` does not cover.
    [[nodiscard]] std::vector<Endpoint> endpoints() const;
    static const Table<FireflypOptions>& table();
    static void validate(const FireflypOptions& options, Problems& problems);
};

}  // namespace flowd::fireflyp
