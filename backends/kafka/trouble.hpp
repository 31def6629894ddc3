// SPDX-License-Identifier: Apache-2.0
// What keeps records from being written or read. Values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "backends/kafka/options.hpp"
#include "flowd/event.hpp"
#include "flowd/findings.hpp"

namespace flowd::kafka {

/// Something that keeps records from being written or read, since when, and what librdkafka says of it.
struct Trouble {
    std::int64_t since_ns = 0;  ///< 0: there is none
    std::string text = {};

    void begin(std::string_view what) {
        if (!lasts()) since_ns = unix_time_ns();
        text = what;
    }
    void end() { since_ns = 0; }
    [[nodiscard]] bool lasts() const { return since_ns != 0; }
};

// Findings of both components; since_ns 0: unknown.
[[nodiscard]] Finding unreachable(const Connection& connection, const std::string& why, std::int64_t since_ns = 0);
[[nodiscard]] Finding unauthenticated(const Connection& connection, const std::string& why, std::int64_t since_ns = 0);
[[nodiscard]] Finding topic_missing(const Connection& connection, std::int64_t since_ns = 0);

}  // namespace flowd::kafka
