// SPDX-License-Identifier: Apache-2.0
// Options of the kafka plugin.
#pragma once

#include "backends/kafka/options.hpp"

namespace flowd::kafka {

/// Where a group begins that has committed no offset.
enum class StartAt : std::uint8_t { beginning, end };

struct KafkaSourceOptions {
    std::vector<std::string> brokers;
    std::string topic = "stardust_firefly";
    std::string group = "flowd-cpp";
    StartAt start_at = StartAt::end;
    Security security;
    std::uint32_t max_size = 1'000'000;
    std::map<std::string, std::string> properties;
    static const Table<KafkaSourceOptions>& table();

    [[nodiscard]] Connection connection() const { return {brokers, topic, security, properties}; }
    static void validate(const KafkaSourceOptions& options, Problems& problems);
};

}  // namespace flowd::kafka
