// SPDX-License-Identifier: Apache-2.0
// lib/firefly/printer.hpp: writes fireflies in a form that every collector accepts. A Printer belongs to one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/firefly/firefly.hpp"

namespace flowd::firefly {

/// UDP payload of an IPv6 packet at MTU 1500 (1500 - 40 - 8).
inline constexpr std::size_t default_max_size = 1452;
/// The size of the core members with the longest host name of Linux (64) and the longest application.
inline constexpr std::size_t least_max_size = 1024;
/// Longer application names are truncated to whole characters. Control characters in them become '_'.
inline constexpr std::size_t max_application = 128;

struct PrinterOptions {
    std::string host = "-";   ///< RFC 5424 HOSTNAME; invalid characters become '_'
    std::string application;  ///< for fireflies whose event has none: "flowd-cpp v1.2.3"
};

/// What a receiver is not told. With either, received blocks are left out as well: they may contain both.
struct Privacy {
    bool omit_application = false;    ///< the application of PrinterOptions instead
    bool truncate_addresses = false;  ///< to the network: /64, IPv4 /24

    [[nodiscard]] bool applies() const { return omit_application || truncate_addresses; }
    friend bool operator==(const Privacy&, const Privacy&) = default;
};

/// The form for one receiver.
struct Layout {
    bool syslog_header = true;
    std::size_t max_size = default_max_size;
    Privacy privacy = {};
};

struct Printed {
    std::string_view text;      ///< valid until the next call; empty if the core members do not fit
    std::size_t left_out = 0;   ///< optional blocks that did not fit
    std::size_t shortened = 0;  ///< blocks of which a shorter form fitted

    [[nodiscard]] bool whole() const { return left_out == 0 && shortened == 0; }
};

/// One canonical form: RFC 5424 header with a real time, RFC 5952 addresses, all times in UTC with microseconds, usage
/// and netlink.rtt (float, milliseconds) if known, blocks unchanged. What does not fit is omitted in this order: other
/// blocks, last first; storage-stats; skOps; netlink; usage. A shorter form of a block is tried first, and of netlink only
/// the rtt.
class Printer {
  public:
    explicit Printer(PrinterOptions options);

    /// `current_time_ns` of the firefly must be set. A missing start-time becomes the end time, or the current time.
    /// The caller has checked that the protocol is tcp or udp and that the ports are not 0.
    [[nodiscard]] Printed print(const Firefly& firefly, const Layout& layout = {});

  private:
    /// An optional member after the core. The higher its rank, the sooner it is omitted.
    struct Part {
        unsigned rank = 0;
        std::string_view name;
        std::array<std::string_view, 3> forms{};  ///< the longest first; empty: no such form
        std::size_t form = 0;                     ///< index of the printed form; 3: none
    };

    [[nodiscard]] Printed print_all(const Firefly& firefly, const Layout& layout);
    void print_core(const Firefly& firefly, bool syslog_header);
    void collect_parts(const Firefly& firefly);
    void fit_parts(std::size_t room, Printed& printed);

    PrinterOptions options_;
    std::string after_time_;  ///< " HOST flowd-cpp - firefly-json - "
    // Members, so that their memory is reused.
    std::string application_, usage_, netlink_, out_;
    std::vector<Part> parts_;
    std::vector<Block> own_blocks_;
};

}  // namespace flowd::firefly
