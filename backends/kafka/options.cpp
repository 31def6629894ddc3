// SPDX-License-Identifier: Apache-2.0
#include "backends/kafka/options.hpp"

#include <algorithm>
#include <optional>

#include "backends/kafka/client.hpp"
#include "flowd/address.hpp"
#include "flowd/number.hpp"
#include "lib/net/target.hpp"

namespace flowd::kafka {
namespace {

/// HOST, HOST:PORT, IPV4:PORT or [IPV6]:PORT.
struct Broker {
    std::string host;
    std::uint16_t port = default_port;

    [[nodiscard]] static std::optional<Broker> parse(std::string_view text) {
        Broker broker;
        std::string_view port;
        if (text.starts_with('[')) {
            const auto close = text.find(']');
            if (close == std::string_view::npos) return std::nullopt;
            broker.host = text.substr(1, close - 1);
            port = text.substr(close + 1);
        } else {
            const auto colon = text.find(':');
            broker.host = text.substr(0, colon);
            if (colon != std::string_view::npos) port = text.substr(colon);
        }
        if (broker.host.empty() || broker.host.find_first_of(",/@ ") != std::string::npos) return std::nullopt;
        if (text.starts_with('[') && !Address::parse(broker.host)) return std::nullopt;
        if (port.empty()) return broker;
        broker.port = whole_number<std::uint16_t>(port.substr(1)).value_or(0);
        if (port.front() != ':' || broker.port == 0) return std::nullopt;
        return broker;
    }
    [[nodiscard]] std::string text() const { return net::Target::name_of(host, port); }
};

void validate_brokers(const std::vector<std::string>& brokers, Problems& problems) {
    for (std::size_t i = 0; i < brokers.size(); ++i)
        if (!Broker::parse(brokers[i]))
            problems.error("brokers[" + std::to_string(i) + "]", "is not a broker: '" + brokers[i] + "'",
                           "write HOST:PORT or [IPV6-ADDRESS]:PORT");
}

void validate_topic(const std::string& topic, Problems& problems) {
    constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const bool is_name = !topic.empty() && topic.size() <= 249 && topic != "." && topic != ".." &&
                         topic.find_first_not_of(allowed) == std::string::npos;
    if (!is_name)
        problems.error("topic", "is not a topic: '" + topic + "'",
                       "write 1 to 249 letters, digits, '.', '_' and '-', for example stardust_firefly");
}

void validate_security(const Security& security, Problems& problems) {
    const bool sasl = security.protocol == Protocol::sasl_ssl;
    if (sasl && security.username.empty())
        problems.error("security.username", "is missing: SASL_SSL needs it", "set username, and password or passwordFile");
    if (sasl && security.password.empty())
        problems.error("security.password", "is missing: SASL_SSL needs it", "set passwordFile to a file of mode 0640");
    if (!sasl && !(security.username.empty() && security.password.empty()))
        problems.error("security.username", std::string("is not used with ") + name_of(security.protocol),
                       "set protocol: SASL_SSL, or remove username and password");
    if (security.protocol == Protocol::plaintext &&
        !(security.ca_file.empty() && security.certificate_file.empty() && security.key_file.empty()))
        problems.error("security.protocol", "is PLAINTEXT, which uses no certificates", "set protocol: SSL or SASL_SSL");
    if (security.certificate_file.empty() != security.key_file.empty())
        problems.error(security.key_file.empty() ? "security.keyFile" : "security.certificateFile",
                       "is missing: a client certificate consists of certificateFile and keyFile", "set both, or neither");
}

}  // namespace

void validate_connection(const Connection& connection, Problems& problems) {
    validate_brokers(connection.brokers, problems);
    validate_topic(connection.topic, problems);
    validate_security(connection.security, problems);
    for (const auto& [name, value] : connection.properties) check_property(name, value, problems);
    if (const auto warning = version_warning(connection.security.protocol))
        problems.warning("security.protocol", warning->message, warning->hint);
}

const char* name_of(Protocol protocol) {
    switch (protocol) {
        case Protocol::ssl:
            return "SSL";
        case Protocol::sasl_ssl:
            return "SASL_SSL";
        default:
            return "PLAINTEXT";
    }
}

const char* name_of(Compression compression) {
    switch (compression) {
        case Compression::gzip:
            return "gzip";
        case Compression::snappy:
            return "snappy";
        case Compression::lz4:
            return "lz4";
        case Compression::zstd:
            return "zstd";
        default:
            return "none";
    }
}

const Table<Security>& Security::table() {
    using O = Security;
    static const Table<O> table{
        choice("protocol", &O::protocol,
               {{"PLAINTEXT", Protocol::plaintext}, {"SSL", Protocol::ssl}, {"SASL_SSL", Protocol::sasl_ssl}})
            .default_value("PLAINTEXT")
            .doc("How brokers are reached: without encryption (PLAINTEXT), with TLS (SSL), or with TLS and SCRAM-SHA-512 "
                 "(SASL_SSL)."),
        option("username", &O::username).doc("SASL_SSL: the user."),
        option("password", &O::password).secret().or_file().doc("SASL_SSL: the password of the user."),
        option("caFile", &O::ca_file)
            .path()
            .doc("Certificates (PEM) of the authorities that brokers are verified with; absent: those of the system."),
        option("certificateFile", &O::certificate_file).path().doc("Client certificate (PEM)."),
        option("keyFile", &O::key_file).path().doc("Key of the client certificate (PEM)."),
        option("keyPassword", &O::key_password).secret().or_file().doc("Password of the key."),
    };
    return table;
}

const Table<Queue>& Queue::table() {
    using O = Queue;
    static const Table<O> table{
        option("records", &O::records)
            .range(1, 10'000'000)
            .default_value(100'000)
            .doc("Records in memory that the brokers have not acknowledged yet."),
        option("bytes", &O::bytes)
            .byte_size()
            .range(1 << 20, std::int64_t{1} << 40)
            .default_value("64 MiB")
            .doc("Size of these records."),
    };
    return table;
}

const Table<SpoolOptions>& SpoolOptions::table() {
    using O = SpoolOptions;
    static const Table<O> table{
        option("path", &O::path).path().required().doc("File of the spool; its directory must exist."),
        option("maxBytes", &O::max_bytes)
            .byte_size()
            .range(1 << 20, std::int64_t{1} << 44)
            .default_value("1 GiB")
            .doc("Maximum size of the records in it; what exceeds it waits in the flow table."),
    };
    return table;
}

const Table<KafkaOptions>& KafkaOptions::table() {
    using O = KafkaOptions;
    static const Table<O> table{
        option("brokers", &O::brokers)
            .required()
            .length(1, 64)
            .doc("Brokers to find the cluster with, as HOST:PORT; the port is 9092 if it is absent."),
        option("topic", &O::topic).default_value("stardust_firefly").doc("Topic that the records are written to."),
        option("security", &O::security).doc("Encryption and authentication."),
        choice("compression", &O::compression,
               {{"none", Compression::none},
                {"gzip", Compression::gzip},
                {"snappy", Compression::snappy},
                {"lz4", Compression::lz4},
                {"zstd", Compression::zstd}})
            .default_value("lz4")
            .doc("Compression of batches of records."),
        option("linger", &O::linger)
            .range(std::chrono::milliseconds(0), std::chrono::seconds(60))
            .default_value("20ms")
            .doc("How long a record waits for others of its batch."),
        option("maxSize", &O::max_size)
            .byte_size()
            .range(4096, 100'000'000)
            .default_value(1'000'000)
            .doc("Maximum size of a record; larger ones are given up and counted. Not more than message.max.bytes of the "
                 "brokers."),
        option("queue", &O::queue).doc("Limits of the memory for records; what exceeds them waits in the flow table."),
        option("spool", &O::spool).doc("Keeps on disk what the brokers cannot take; absent: nothing is kept."),
        option("enrich", &O::enrich).default_value(false).doc("Writes a record whenever an enricher has sampled a flow."),
        choice("enrichmentMode", &O::enrichment_mode,
               {{"lean", firefly::Verbosity::lean},
                {"compatible", firefly::Verbosity::compatible},
                {"", firefly::Verbosity::full}})
            .default_value("lean")
            .doc("Content of such a record: a dozen values (lean), flowd's form (compatible), or all values of the kernel "
                 "(\"\")."),
        option("properties", &O::properties)
            .length(0, 256)
            .doc("Further properties of librdkafka, as NAME: VALUE. Secrets, properties that other options set, and those "
                 "that load or run code are refused."),
    };
    return table;
}

std::string Connection::broker_list() const {
    std::string list;
    for (const std::string& text : brokers)
        if (const auto broker = Broker::parse(text)) list.append(list.empty() ? "" : ",").append(broker->text());
    return list;
}

std::string Connection::name() const {
    const auto first = brokers.empty() ? std::nullopt : Broker::parse(brokers.front());
    std::string text = first ? first->text() : "";
    return brokers.size() > 1 ? text + " and " + std::to_string(brokers.size() - 1) + " more" : text;
}

void KafkaOptions::validate(const KafkaOptions& options, Problems& problems) {
    validate_connection(options.connection(), problems);
    if (options.max_size > options.queue.bytes)
        problems.error("maxSize", "is larger than queue.bytes", "increase queue.bytes");
    if (problems.errors() != 0) return;
    // librdkafka checks combinations when a client is created; without brokers it makes no connection.
    Connection alone = options.connection();
    alone.brokers.clear();
    alone.security = {};
    if (auto client = Client::producer(alone, options, nullptr); !client)
        problems.error("properties", client.error().message, "correct or remove the property");
}

}  // namespace flowd::kafka
