// SPDX-License-Identifier: Apache-2.0
// A client of a Kafka cluster: librdkafka's handle and its events. Belongs to one thread.
#pragma once

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "backends/kafka/options.hpp"
#include "flowd/host.hpp"
#include "flowd/module.hpp"
#include "flowd/problem.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::kafka {

struct Advice {
    std::string message;
    std::string hint;
};

/// Kafka 4 has removed the versions of its protocol that older releases of librdkafka speak, and refuses how they
/// authenticate by SCRAM.
[[nodiscard]] std::optional<Advice> version_warning(Protocol protocol);

/// Judges one of `properties`: by librdkafka, and whether it may be set there.
void check_property(const std::string& name, const std::string& value, Problems& problems);

/// What a client reports. Called by Client::serve().
class ClientListener {
  public:
    virtual ~ClientListener() = default;
    virtual void on_report(const rd_kafka_message_t& message) = 0;            ///< fate of a produced record
    virtual void on_error(rd_kafka_resp_err_t code, const char* reason) = 0;  ///< of the client or a broker
    virtual void on_connected() = 0;                                          ///< at least one broker is connected
    virtual void on_log(int level, const char* text) = 0;
    virtual void on_message(const rd_kafka_message_t&) {}  ///< a record that was read, or an error of its partition
    /// A partition has no committed offset, or one that is not in the topic: answered by Client::restart_at().
    virtual void on_no_offset(std::int32_t, std::string_view) {}
    /// Partitions were assigned or revoked; the listener answers with Client::assign().
    virtual void on_rebalance(rd_kafka_resp_err_t, const rd_kafka_topic_partition_list_t&) {}
};

class Client {
  public:
    /// Connects in the background. `listener` null: a client that is only asked for metadata, or judged.
    [[nodiscard]] static Result<std::unique_ptr<Client>> producer(const Connection& connection, const KafkaOptions& options,
                                                                  ClientListener* listener);
    [[nodiscard]] static Result<std::unique_ptr<Client>> consumer(const Connection& connection, const std::string& group,
                                                                  ClientListener* listener);
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    /// What was not sent is dropped.
    ~Client();

    [[nodiscard]] rd_kafka_t* handle() const { return handle_.get(); }
    /// Readable while there is something to serve.
    [[nodiscard]] int fd() const { return wake_.get(); }
    /// Hands events to the listener, at most `limit`; waits for the first one until `timeout`. True: there may be more.
    bool serve(std::size_t limit, std::chrono::milliseconds timeout = {});
    /// The id of the cluster; empty until a broker has told it.
    [[nodiscard]] std::string cluster() const;

    // Producers.
    /// Nothing more is sent; every record that was not acknowledged is reported.
    void give_back();

    // Consumers.
    Result<void> subscribe(const std::string& topic);
    /// The group's answer to on_rebalance(): takes or gives up these partitions.
    void assign(bool assigned, const rd_kafka_topic_partition_list_t& partitions);
    /// All partitions that are assigned.
    void pause(bool paused);
    /// Reads an assigned partition from this offset on, after an error of its offset.
    void restart_at(const std::string& topic, std::int32_t partition, std::int64_t offset);
    /// This offset is committed within a second.
    void store(const std::string& topic, std::int32_t partition, std::int64_t offset);
    /// Commits what was stored and leaves the group.
    void leave(const Deadline& deadline);
    /// fd() is not readable for events that wait already: the caller calls serve() later.
    void defer();

  private:
    struct Deleter {
        void operator()(rd_kafka_topic_partition_t* partition) const { rd_kafka_topic_partition_destroy(partition); }
        void operator()(rd_kafka_topic_partition_list_t* list) const { rd_kafka_topic_partition_list_destroy(list); }
        void operator()(rd_kafka_error_t* error) const { rd_kafka_error_destroy(error); }
        void operator()(rd_kafka_t* handle) const;
        void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
        void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
        void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
    };
    template <typename T>
    using Owned = std::unique_ptr<T, Deleter>;

    explicit Client(ClientListener* listener) : listener_(listener) {}
    [[nodiscard]] static Result<Owned<rd_kafka_conf_t>> configure(const Connection& connection);
    [[nodiscard]] static Result<std::unique_ptr<Client>> make(rd_kafka_type_t type, Owned<rd_kafka_conf_t> conf,
                                                              ClientListener* listener);
    void handle(rd_kafka_event_t* event);
    void handle_error(rd_kafka_event_t* event);
    void judge_statistics(const char* json);

    ClientListener* listener_;
    UniqueFd wake_;
    Owned<rd_kafka_t> handle_;
    Owned<rd_kafka_queue_t> queue_;
};

}  // namespace flowd::kafka
