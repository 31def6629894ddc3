// SPDX-License-Identifier: Apache-2.0
// Options of the firefly backend.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/module.hpp"
#include "lib/firefly/enrichment.hpp"
#include "lib/firefly/printer.hpp"
#include "lib/net/stun.hpp"

namespace flowd::firefly_backend {

inline constexpr std::uint16_t firefly_port = 10514;

struct StunServer {
    std::string host;  ///< name or address literal
    std::uint16_t port = net::stun::default_port;

    /// "stun.example.org", "stun.example.org:3478", "192.0.2.1:3478". Empty for any other form.
    [[nodiscard]] static std::optional<StunServer> parse(std::string_view text);
    [[nodiscard]] std::string name() const { return host + ":" + std::to_string(port); }
    friend bool operator==(const StunServer&, const StunServer&) = default;
};

struct Stun {
    std::map<std::string, Address> manual_mapping;
    std::vector<std::string> servers;
    static const Table<Stun>& table();

    /// Those of `servers`, which validate() has checked.
    [[nodiscard]] std::vector<StunServer> all_servers() const;
};

/// What collectors are not told. Destinations of flows are told everything: they are a party to the flow.
struct Privacy {
    bool omit_application = false;
    bool truncate_addresses = false;
    bool only_registered_tags = false;
    static const Table<Privacy>& table();
};

struct Collector {
    std::string address;
    std::uint16_t port = firefly_port;
    std::optional<bool> prepend_syslog;
    std::optional<std::uint32_t> max_size;
    Privacy privacy = {};  ///< in addition to that of the backend
    static const Table<Collector>& table();
};

struct FireflyOptions {
    std::uint16_t destination_port = firefly_port;
    bool prepend_syslog = true;
    bool send_to_destination = true;
    bool forward_to_destination = false;
    bool send_to_collector = false;
    std::string collector_address = "127.0.0.1";
    std::uint16_t collector_port = firefly_port;
    std::vector<Collector> collectors;
    std::chrono::seconds resolve_interval{60};
    bool enrich = false;
    firefly::Verbosity enrichment_mode = firefly::Verbosity::lean;
    std::chrono::seconds ongoing{0};
    std::uint32_t max_size = firefly::default_max_size;
    Privacy privacy;
    bool dry_run = false;
    Stun stun;
    static const Table<FireflyOptions>& table();

    /// collectorAddress, then `collectors`; with the privacy of the backend added to theirs.
    [[nodiscard]] std::vector<Collector> all_collectors() const;
    [[nodiscard]] bool sends_to_destinations() const { return send_to_destination && !dry_run; }
    static void validate(const FireflyOptions& options, Problems& problems);
};

}  // namespace flowd::firefly_backend
