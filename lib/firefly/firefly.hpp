// SPDX-License-Identifier: Apache-2.0
// lib/firefly/firefly.hpp: the content of a firefly, independent of its form. A value that borrows its texts.
// Source: firefly schema v1.0.0 of scitags.org.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "flowd/abi/event.h"
#include "lib/firefly/flowd_member.hpp"

namespace flowd::firefly {

/// Numbered as the kinds of a flow event.
enum class State : std::uint8_t { start = FLOWD_EVENT_START, ongoing = FLOWD_EVENT_ONGOING, end = FLOWD_EVENT_END };

/// A top-level member besides the schema's core members: netlink, skOps, storage-stats, or an unknown one.
struct Block {
    std::string_view name;
    std::string_view json;          ///< one JSON value, compact
    std::string_view shorter = {};  ///< a form that is used if `json` does not fit; may be empty
    bool is_received = false;       ///< it came with a firefly: its content is another program's
};

/// Times are nanoseconds of Unix time, 0 for unknown. `sent` is from source to destination, in bytes.
struct Firefly {
    State state = State::start;
    flowd_key key{};
    flowd_tag tag{};
    std::int64_t start_time_ns = 0;
    std::int64_t end_time_ns = 0;
    std::int64_t current_time_ns = 0;
    bool has_usage = false;
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    std::string_view application;
    std::optional<double> rtt_ms;  ///< printed as netlink.rtt; read it from a netlink block with BlockReader
    std::span<const Block> blocks;
    std::optional<FlowdMember> member;  ///< as received; a Stream adds it to what is sent
};

}  // namespace flowd::firefly
