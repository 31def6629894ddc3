// SPDX-License-Identifier: Apache-2.0
// Options of the kafka module.
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

namespace flowd::kafka {

inline constexpr std::uint16_t default_port = 9092;

enum class Protocol : std::uint8_t { plaintext, ssl, sasl_ssl };
[[nodiscard]] const char* name_of(Protocol protocol);

enum class Compression : std::uint8_t { none, gzip, snappy, lz4, zstd };
[[nodiscard]] const char* name_of(Compression compression);

struct Security {
    Protocol protocol = Protocol::plaintext;
    std::string username;
    std::string password;
    std::string ca_file;
    std::string certificate_file;
    std::string key_file;
    std::string key_password;
    static const Table<Security>& table();
};

/// What both components need to reach a cluster.
struct Connection {
    std::vector<std::string> brokers;
    std::string topic = "stardust_firefly";
    Security security;
    std::map<std::string, std::string> properties;

    /// The brokers in librdkafka's form: "a.example.org:9092,[2001:db8::1]:9092".
    [[nodiscard]] std::string broker_list() const;
    /// "a.example.org:9092" or "a.example.org:9092 and 2 more".
    [[nodiscard]] std::string name() const;
};

struct Queue {
    std::uint32_t records = 100'000;
    std::uint64_t bytes = std::uint64_t{64} << 20;
    static const Table<Queue>& table();
};

struct SpoolOptions {
    std::string path;
    std::uint64_t max_bytes = std::uint64_t{1} << 30;
    static const Table<SpoolOptions>& table();
};

struct KafkaOptions {
    std::vector<std::string> brokers;
    std::string topic = "stardust_firefly";
    Security security;
    Compression compression = Compression::lz4;
    std::chrono::milliseconds linger{20};
    std::uint32_t max_size = 1'000'000;
    Queue queue;
    std::optional<SpoolOptions> spool;
    bool enrich = false;
    firefly::Verbosity enrichment_mode = firefly::Verbosity::lean;
    std::map<std::string, std::string> properties;
    static const Table<KafkaOptions>& table();

    [[nodiscard]] Connection connection() const { return {brokers, topic, security, properties}; }
    static void validate(const KafkaOptions& options, Problems& problems);
};

void validate_connection(const Connection& connection, Problems& problems);

}  // namespace flowd::kafka
