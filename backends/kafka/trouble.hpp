// SPDX-License-Identifier: Apache-2.0
// Conditions that prevent writing or reading, and their findings.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "backends/kafka/options.hpp"
#include "flowd/event.hpp"
#include "flowd/findings.hpp"

namespace flowd::kafka {

/// A condition that prevents writing or reading: since when, and how librdkafka describes it.
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
