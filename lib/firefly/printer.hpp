// SPDX-License-Identifier: Apache-2.0
// lib/firefly/printer.hpp: writes fireflies in the one form that every collector takes. A Printer belongs to one thread.
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
/// What the core of a firefly takes with the longest host name of Linux (64) and an application cut at its limit.
inline constexpr std::size_t least_max_size = 1024;
/// Longer application names are cut, at a character's border. Control characters in them become '_'.
inline constexpr std::size_t max_application = 128;

struct PrinterOptions {
    std::string host = "-";   ///< RFC 5424 HOSTNAME; what it does not allow becomes '_'
    std::string application;  ///< for fireflies whose event names none: "flowd-cpp v1.2.3"
};

/// What one receiver wants.
struct Layout {
    bool syslog_header = true;
    std::size_t max_size = default_max_size;
};

struct Printed {
    std::string_view text;      ///< valid until the next call; empty when even the core does not fit
    std::size_t left_out = 0;   ///< optional blocks that did not fit
    std::size_t shortened = 0;  ///< and those of which a shorter form did

    [[nodiscard]] bool whole() const { return left_out == 0 && shortened == 0; }
};

/// One canonical form: RFC 5424 header with a real time, RFC 5952 addresses, all times in UTC with microseconds, usage
/// and netlink.rtt (float, milliseconds) when known, blocks as they are. What does not fit is left out in this order:
/// blocks with names of their own, last first; storage-stats; skOps; netlink; usage. A block that has a shorter form
/// shrinks to it first, and netlink to its rtt before it goes.
class Printer {
  public:
    explicit Printer(PrinterOptions options);

    /// `current_time_ns` of the firefly must be set. A missing start-time becomes the end time, or the current time.
    /// The caller has made sure of tcp or udp, and of ports from 1.
    [[nodiscard]] Printed print(const Firefly& firefly, const Layout& layout = {});

  private:
    /// A thing that may stand behind the core. The higher its rank, the sooner it is left out.
    struct Part {
        unsigned rank = 0;
        std::string_view name;
        std::array<std::string_view, 3> forms{};  ///< the longest first; empty ones are none
        std::size_t form = 0;                     ///< which of them is printed; 3: none
    };

    void print_core(const Firefly& firefly, bool syslog_header);
    void collect_parts(const Firefly& firefly);
    void fit_parts(std::size_t room, Printed& printed);

    PrinterOptions options_;
    std::string after_time_;  ///< " HOST flowd-cpp - firefly-json - "
    // Kept to reuse their memory.
    std::string application_, usage_, netlink_, out_;
    std::vector<Part> parts_;
};

}  // namespace flowd::firefly
