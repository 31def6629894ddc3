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
};

class Client {
  public:
    /// Connects in the background. `listener` null: a client that is only asked for metadata, or judged.
    [[nodiscard]] static Result<std::unique_ptr<Client>> producer(const Connection& connection, const KafkaOptions& options,
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
    /// Nothing more is sent; every record that was not acknowledged is reported.
    void give_back();

  private:
    struct Deleter {
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
    void judge_statistics(const char* json);

    ClientListener* listener_;
    UniqueFd wake_;
    Owned<rd_kafka_t> handle_;
    Owned<rd_kafka_queue_t> queue_;
};

}  // namespace flowd::kafka
