// SPDX-License-Identifier: Apache-2.0
// lib/firefly/printer.hpp: writes fireflies in the one form that every collector takes. A Printer belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/firefly/firefly.hpp"

namespace flowd::firefly {

/// UDP payload of an IPv6 packet at MTU 1500 (1500 - 40 - 8).
inline constexpr std::size_t default_max_size = 1452;
/// What the core of a firefly takes with the longest host name of Linux (64) and an application cut at its limit.
inline constexpr std::size_t least_max_size = 1024;
/// Longer application names are cut, at a character's border. Control characters in them become '_'.
inline constexpr std::size_t max_application = 128;

struct PrinterOptions {
    std::string host = "-";   ///< RFC 5424 HOSTNAME; what it does not allow becomes '_'
    std::string application;  ///< for fireflies whose event names none: "flowd-cpp v1.2.3"
    bool syslog_header = true;
    std::size_t max_size = default_max_size;
};

struct Printed {
    std::string_view text;     ///< valid until the next call; empty when even the core does not fit
    std::size_t left_out = 0;  ///< optional blocks that did not fit
};

/// One canonical form: RFC 5424 header with a real time, RFC 5952 addresses, all times in UTC with microseconds, usage
/// and netlink.rtt (float, milliseconds) when known, blocks as they are. What does not fit is left out in this order:
/// blocks with names of their own, last first; storage-stats; skOps; netlink shrinks to its rtt, then goes; usage.
class Printer {
  public:
    explicit Printer(PrinterOptions options);

    /// `current_time_ns` of the firefly must be set. A missing start-time becomes the end time, or the current time.
    /// The caller has made sure of tcp or udp, and of ports from 1.
    [[nodiscard]] Printed print(const Firefly& firefly) { return print(firefly, options_.max_size); }
    [[nodiscard]] Printed print(const Firefly& firefly, std::size_t max_size);

    [[nodiscard]] const PrinterOptions& options() const { return options_; }

  private:
    void print_core(const Firefly& firefly);

    PrinterOptions options_;
    std::string after_time_;   ///< " HOST flowd-cpp - firefly-json - "
    std::string application_;  ///< kept to reuse its memory
    std::string out_;
};

}  // namespace flowd::firefly
