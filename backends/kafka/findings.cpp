// SPDX-License-Identifier: Apache-2.0
// The findings of the backend, and those of both components that need no instance.
#include <chrono>
#include <memory>

#include "backends/kafka/kafka.hpp"
#include "backends/kafka/source.hpp"

namespace flowd::kafka {
namespace {

/// How long `flowd-cpp check --host` waits for an answer.
constexpr std::chrono::seconds patience{5};

/// Asks for the topic, and remembers what the client reports meanwhile.
class Inquiry final : public ClientListener {
  public:
    void on_report(const rd_kafka_message_t&) override {}
    void on_connected() override {}
    void on_log(int, const char*) override {}
    void on_error(rd_kafka_resp_err_t code, const char* reason) override {
        if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION)
            refusal = reason;
        else if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
            trouble = reason;
    }

    std::string refusal, trouble;
};

}  // namespace

Finding unreachable(const Connection& connection, const std::string& why, std::int64_t since_ns) {
    return {FLOWD_LEVEL_WARNING,
            "kafka-unreachable",
            connection.name(),
            why.empty() ? "no broker answers" : why,
            "a broker answers",
            "start the brokers, or correct brokers and security.protocol",
            since_ns};
}

Finding unauthenticated(const Connection& connection, const std::string& why, std::int64_t since_ns) {
    const auto advice = version_warning(connection.security.protocol);
    return {FLOWD_LEVEL_ERROR,
            "kafka-authentication",
            connection.name(),
            why,
            "the brokers accept this client",
            advice ? "correct username and passwordFile; with brokers of Kafka 4, " + advice->hint
                   : "correct username and passwordFile, or let the user use the topic",
            since_ns};
}

Finding topic_missing(const Connection& connection, std::int64_t since_ns) {
    return {FLOWD_LEVEL_ERROR, "kafka-topic-missing",
            connection.topic,  "the topic does not exist",
            "it exists",       "create it: kafka-topics.sh --create --topic " + connection.topic,
            since_ns};
}

std::vector<Finding> KafkaBackend::findings() const {
    std::vector<Finding> all;
    const Connection connection = options_.connection();
    if (authentication_.lasts())
        all.push_back(unauthenticated(connection, authentication_.text, authentication_.since_ns));
    else if (is_unreachable())
        all.push_back(unreachable(connection, unreachable_.text, unreachable_.since_ns));
    if (topic_missing_.lasts()) all.push_back(topic_missing(connection, topic_missing_.since_ns));
    const std::string path = options_.spool ? options_.spool->path : std::string();
    if (spool_full_.lasts())
        all.push_back({FLOWD_LEVEL_ERROR, "kafka-spool-full", path, "the spool takes no more records: " + spool_full_.text,
                       "it has room", "make the brokers reachable, or increase spool.maxBytes and the room on the disk",
                       spool_full_.since_ns});
    if (spool_unusable_.lasts())
        all.push_back({FLOWD_LEVEL_ERROR, "kafka-spool-unusable", path, spool_unusable_.text, "this instance has it alone",
                       "give each instance a path of its own", spool_unusable_.since_ns});
    if (spool_aside_.lasts())
        all.push_back({FLOWD_LEVEL_WARNING, "kafka-spool-moved", path, spool_aside_.text, "the file can be used",
                       "read it with sqlite3 or remove it, then restart the daemon", spool_aside_.since_ns});
    if (too_large_.lasts())
        all.push_back({FLOWD_LEVEL_WARNING, "kafka-record-too-large", options_.topic, too_large_.text + " was given up",
                       "records are at most as large as maxSize and the brokers allow",
                       "increase maxSize, and message.max.bytes of the brokers", too_large_.since_ns});
    return all;
}

namespace {

std::vector<Finding> inquire(const Connection& connection, const Result<std::unique_ptr<Client>>& client,
                             const Inquiry& inquiry) {
    std::vector<Finding> all;
    if (!client) {
        all.push_back(unreachable(connection, client.error().message));
        return all;
    }
    const std::unique_ptr<rd_kafka_topic_t, void (*)(rd_kafka_topic_t*)> topic(
        rd_kafka_topic_new((*client)->handle(), connection.topic.c_str(), nullptr), &rd_kafka_topic_destroy);
    const rd_kafka_metadata_t* metadata = nullptr;
    const auto error = rd_kafka_metadata((*client)->handle(), 0, topic.get(), &metadata,
                                         static_cast<int>(std::chrono::milliseconds(patience).count()));
    while ((*client)->serve(1000)) {
    }
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (inquiry.refusal.empty())
            all.push_back(unreachable(connection, inquiry.trouble.empty() ? rd_kafka_err2str(error) : inquiry.trouble));
        else
            all.push_back(unauthenticated(connection, inquiry.refusal));
        return all;
    }
    const auto state = metadata->topic_cnt > 0 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (state == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) all.push_back(topic_missing(connection));
    if (state == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        all.push_back(unauthenticated(connection, rd_kafka_err2str(state)));
    rd_kafka_metadata_destroy(metadata);
    return all;
}

}  // namespace

std::vector<Finding> KafkaBackend::host_findings(const Options& options, const Offline&) {
    Inquiry inquiry;
    return inquire(options.connection(), Client::producer(options.connection(), options, &inquiry), inquiry);
}

std::vector<Finding> KafkaSource::host_findings(const Options& options, const Offline&) {
    Inquiry inquiry;
    return inquire(options.connection(), Client::consumer(options.connection(), options.group, &inquiry), inquiry);
}

std::string KafkaBackend::summary() const {
    const std::string to = options_.topic + " at " + options_.connection().name();
    if (authentication_.lasts()) return "is refused by " + options_.connection().name();
    if (is_unreachable()) return "no broker answers; " + std::to_string(pipeline_.waiting()) + " records wait";
    if (topic_missing_.lasts()) return "there is no topic " + options_.topic;
    return "writes to " + to;
}

}  // namespace flowd::kafka
