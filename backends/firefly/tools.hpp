// SPDX-License-Identifier: Apache-2.0
// Commands that need no daemon: `flowd-cpp firefly send` tests the path to a collector, `flowd-cpp firefly listen` acts as
// one, `flowd-cpp firefly lint` judges emitters.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backends/firefly/options.hpp"
#include "flowd/module.hpp"
#include "lib/net/target_findings.hpp"

namespace flowd::firefly_backend {

/// The ids of the findings of a running instance, of a host without an instance, and of `flowd-cpp verify`.
extern const net::TargetFindings collector_findings;

struct SendOptions {
    std::vector<std::string> to;
    std::uint16_t port = firefly_port;
    std::uint32_t experiment = 0;
    std::uint32_t activity = 0;
    bool bare = false;
    std::chrono::seconds wait{2};
    static const Table<SendOptions>& table();
};

/// Sends a start and an end to each collector: of `to`, or else of the configuration. They report the UDP flow that
/// carries them. Prints the result of each; an error if one could not be reached.
Result<void> send_fireflies(SendOptions options, ToolCall& call);

struct VerifyOptions {
    static const Table<VerifyOptions>& table();
};

/// For `flowd-cpp verify` (flowd/verify.hpp): sends a start and an end to each configured collector.
Result<void> verify_collectors(VerifyOptions options, ToolCall& call);

struct ListenOptions {
    Address address;
    std::uint16_t port = firefly_port;
    std::uint32_t count = 0;
    std::chrono::seconds seconds{0};
    std::vector<Network> from;
    std::optional<std::uint32_t> experiment;
    std::optional<std::uint32_t> activity;
    std::optional<std::string> state;
    bool full = false;
    static const Table<ListenOptions>& table();
};

/// Prints each datagram as parsed, or why it is not a firefly, and whether the reference collector would accept it.
Result<void> listen_for_fireflies(ListenOptions options, ToolCall& call);

struct LintOptions {
    std::string input;
    std::uint16_t port = firefly_port;
    std::string require = "C";
    std::uint32_t count = 0;
    std::chrono::seconds seconds{0};
    static const Table<LintOptions>& table();
};

/// Prints a report on each emitter; an error if one has a lower grade than required.
Result<void> lint_fireflies(LintOptions options, ToolCall& call);

}  // namespace flowd::firefly_backend
