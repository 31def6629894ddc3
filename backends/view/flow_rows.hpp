// SPDX-License-Identifier: Apache-2.0
// One line of a table of flows, as the page receives it. Values; no thread concerns.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "flowd/abi/event.h"
#include "flowd/host.hpp"
#include "flowd/json.hpp"

namespace flowd::view {

inline constexpr std::int64_t ns_per_ms = 1'000'000;

/// Payload bytes per second, from source to destination and back.
struct Rate {
    double sent = 0, received = 0;
    friend bool operator==(const Rate&, const Rate&) = default;
};

/// A copy of what the page shows of a flow.
struct FlowRow {
    std::uint64_t id = 0;
    flowd_key key{};
    flowd_tag tag{};
    std::int64_t start_ns = 0, seen_ns = 0, end_ns = 0;
    std::uint64_t bytes_sent = 0, bytes_received = 0;
    std::uint32_t end_reason = 0;
    bool has_bytes = false;
    bool is_marked = false;
    Rate rate;
    std::string announcer, rule, application;

    [[nodiscard]] static FlowRow of(const flowd_flow& flow, const Rate& rate);
    /// Whether the page would show the same.
    [[nodiscard]] bool same_as(const FlowRow& other) const;
};

/// [id, protocol, source, port, destination, port, experiment, activity, experiment's name, activity's name, start, seen,
/// end, bytes sent, bytes received, rate sent, rate received, plugin, rule, application, marked, end reason]. The id is
/// text, because JavaScript has no 64-bit integers; times are Unix time in ms; bytes that nobody has measured are null.
void write_row(json::Writer& writer, const FlowRow& row, const Registry& registry);

}  // namespace flowd::view
