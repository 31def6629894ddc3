// SPDX-License-Identifier: Apache-2.0
#include "backends/kafka/client.hpp"

#include <simdjson.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace flowd::kafka {
namespace {

/// The first release of librdkafka that Kafka 4 supports (KIP-896).
constexpr int oldest_for_kafka_4 = 0x010802ff;

/// The first one whose last SCRAM message is that of RFC 5802; before, it had the client's nonce twice.
constexpr int oldest_for_scram = 0x020601ff;

/// Properties that an option of this module sets, with its name.
constexpr std::array<std::pair<std::string_view, std::string_view>, 27> set_by_options{{
    {"bootstrap.servers", "brokers"},
    {"metadata.broker.list", "brokers"},
    {"security.protocol", "security.protocol"},
    {"sasl.mechanism", "security.protocol"},
    {"sasl.mechanisms", "security.protocol"},
    {"sasl.username", "security.username"},
    {"sasl.password", "security.passwordFile"},
    {"ssl.ca.location", "security.caFile"},
    {"ssl.certificate.location", "security.certificateFile"},
    {"ssl.key.location", "security.keyFile"},
    {"ssl.key.password", "security.keyPasswordFile"},
    {"compression.codec", "compression"},
    {"compression.type", "compression"},
    {"linger.ms", "linger"},
    {"queue.buffering.max.ms", "linger"},
    {"message.max.bytes", "maxSize"},
    {"queue.buffering.max.messages", "queue.records"},
    {"queue.buffering.max.kbytes", "queue.bytes"},
    {"group.id", "group"},
    {"enable.idempotence", "nothing: the producer is always idempotent"},
    {"acks", "nothing: all replicas acknowledge"},
    {"request.required.acks", "nothing: all replicas acknowledge"},
    {"enable.auto.commit", "nothing: offsets are committed when every backend has taken the events"},
    {"enable.auto.offset.store", "nothing: offsets are committed when every backend has taken the events"},
    {"auto.offset.reset", "startAt"},
    {"statistics.interval.ms", "nothing: the statistics tell whether a broker is connected"},
    {"partition.assignment.strategy", "nothing: a daemon keeps the partitions that it need not give up"},
}};

constexpr std::array<std::string_view, 9> secrets{
    "ssl.key.pem",     "ssl.keystore.password",          "sasl.oauthbearer.config",
    "ssl_key",         "sasl.oauthbearer.client.secret", "ssl.keystore.location",
    "ssl_certificate", "sasl.kerberos.keytab",           "enable.sasl.oauthbearer.unsecure.jwt"};

constexpr std::array<std::string_view, 3> run_code{"plugin.library.paths", "ssl.engine.location",
                                                   "sasl.kerberos.kinit.cmd"};

Result<void> set(rd_kafka_conf_t* conf, const char* name, const std::string& value) {
    std::array<char, 512> why{};
    if (rd_kafka_conf_set(conf, name, value.c_str(), why.data(), why.size()) == RD_KAFKA_CONF_OK) return {};
    return Error{FLOWD_INVALID, why.data()};
}

void destroy_conf(rd_kafka_conf_t* conf) {
    rd_kafka_conf_destroy(conf);
}

}  // namespace

std::optional<Advice> version_warning(Protocol protocol) {
    const std::string present = std::string("librdkafka ") + rd_kafka_version_str();
    if (rd_kafka_version() < oldest_for_kafka_4)
        return Advice{present + " is too old for brokers of Kafka 4",
                      "install librdkafka 1.8.2 or newer, or keep brokers of Kafka 3"};
    if (protocol == Protocol::sasl_ssl && rd_kafka_version() < oldest_for_scram)
        return Advice{
            present + " cannot authenticate by SCRAM with brokers of Kafka 4",
            "install librdkafka 2.6.1 or newer, or use a client certificate: protocol: SSL, certificateFile, keyFile"};
    return std::nullopt;
}

void check_property(const std::string& name, const std::string& value, Problems& problems) {
    const std::string path = "properties." + name;
    const auto own =
        std::find_if(set_by_options.begin(), set_by_options.end(), [&](const auto& row) { return row.first == name; });
    if (own != set_by_options.end())
        return problems.error(path, "is set by " + std::string(own->second), "remove it from properties");
    if (std::find(secrets.begin(), secrets.end(), name) != secrets.end())
        return problems.error(path, "is a secret or names one; properties are printed",
                              "use security.keyFile and the File forms of the options of security");
    if (std::find(run_code.begin(), run_code.end(), name) != run_code.end())
        return problems.error(path, "loads or runs code", "remove it");
    const std::unique_ptr<rd_kafka_conf_t, void (*)(rd_kafka_conf_t*)> conf(rd_kafka_conf_new(), &destroy_conf);
    if (auto judged = set(conf.get(), name.c_str(), value); !judged)
        problems.error(path, judged.error().message,
                       "see the configuration reference of librdkafka " + std::string(rd_kafka_version_str()));
}

void Client::Deleter::operator()(rd_kafka_t* handle) const {
    rd_kafka_purge(handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

Result<Client::Owned<rd_kafka_conf_t>> Client::configure(const Connection& connection) {
    Owned<rd_kafka_conf_t> conf(rd_kafka_conf_new());
    const Security& security = connection.security;
    std::vector<std::pair<const char*, std::string>> rows{
        {"client.id", "flowd-cpp"},
        {"bootstrap.servers", connection.broker_list()},
        {"security.protocol", name_of(security.protocol)},
        {"log.queue", "true"},
        {"log.connection.close", "false"},
        {"statistics.interval.ms", "2000"},
        {"topic.metadata.refresh.interval.ms", "10000"},
        {"topic.metadata.propagation.max.ms", "5000"},
        {"reconnect.backoff.max.ms", "5000"},
    };
    if (security.protocol == Protocol::sasl_ssl) {
        rows.emplace_back("sasl.mechanism", "SCRAM-SHA-512");
        rows.emplace_back("sasl.username", security.username);
        rows.emplace_back("sasl.password", security.password);
    }
    if (!security.ca_file.empty()) rows.emplace_back("ssl.ca.location", security.ca_file);
    if (!security.certificate_file.empty()) rows.emplace_back("ssl.certificate.location", security.certificate_file);
    if (!security.key_file.empty()) rows.emplace_back("ssl.key.location", security.key_file);
    if (!security.key_password.empty()) rows.emplace_back("ssl.key.password", security.key_password);
    for (const auto& [name, value] : rows)
        if (!value.empty())
            if (auto done = set(conf.get(), name, value); !done) return std::move(done).error();
    return conf;
}

Result<std::unique_ptr<Client>> Client::producer(const Connection& connection, const KafkaOptions& options,
                                                 ClientListener* listener) {
    auto conf = configure(connection);
    if (!conf) return std::move(conf).error();
    const std::vector<std::pair<const char*, std::string>> rows{
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"compression.codec", name_of(options.compression)},
        {"linger.ms", std::to_string(options.linger.count())},
        {"message.max.bytes", std::to_string(options.max_size + 4096)},
        // The pipeline limits what is in memory, and decides what is given up.
        {"queue.buffering.max.messages", "10000000"},
        {"queue.buffering.max.kbytes", "2147483647"},
        {"message.timeout.ms", "0"},
        // As Java's producer: all producers write a key to the same partition.
        {"partitioner", "murmur2_random"},
    };
    for (const auto& [name, value] : rows)
        if (auto done = set(conf->get(), name, value); !done) return std::move(done).error();
    for (const auto& [name, value] : connection.properties)
        if (auto done = set(conf->get(), name.c_str(), value); !done) return std::move(done).error();
    return make(RD_KAFKA_PRODUCER, std::move(*conf), listener);
}

Result<std::unique_ptr<Client>> Client::consumer(const Connection& connection, const std::string& group,
                                                 ClientListener* listener) {
    auto conf = configure(connection);
    if (!conf) return std::move(conf).error();
    const std::vector<std::pair<const char*, std::string>> rows{
        {"group.id", group},
        // Stored by the listener, then committed.
        {"enable.auto.offset.store", "false"},
        {"enable.auto.commit", "true"},
        {"auto.commit.interval.ms", "1000"},
        // The listener decides: a group that is new differs from an offset that is out of range.
        {"auto.offset.reset", "error"},
        // A rebalance leaves a member those partitions that it keeps, and their flows.
        {"partition.assignment.strategy", "cooperative-sticky"},
        // An older librdkafka sees once a second that there is room again: this much is read in a second.
        {"queued.max.messages.kbytes", "65536"},
        {"session.timeout.ms", "10000"},
    };
    for (const auto& [name, value] : rows)
        if (auto done = set(conf->get(), name, value); !done) return std::move(done).error();
    (void)set(conf->get(), "fetch.queue.backoff.ms", "50");  // librdkafka 2.0 does not know it
    for (const auto& [name, value] : connection.properties)
        if (auto done = set(conf->get(), name.c_str(), value); !done) return std::move(done).error();
    return make(RD_KAFKA_CONSUMER, std::move(*conf), listener);
}

Result<std::unique_ptr<Client>> Client::make(rd_kafka_type_t type, Owned<rd_kafka_conf_t> conf, ClientListener* listener) {
    std::unique_ptr<Client> client(new Client(listener));
    client->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!client->wake_) return Error::from_errno(errno, "eventfd");
    rd_kafka_conf_set_events(conf.get(), RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS |
                                             RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE);
    std::array<char, 512> why{};
    client->handle_.reset(rd_kafka_new(type, conf.get(), why.data(), why.size()));
    if (!client->handle_) return Error{FLOWD_INVALID, std::string("librdkafka: ") + why.data()};
    (void)conf.release();  // the handle owns it
    const bool consumes = type == RD_KAFKA_CONSUMER;
    if (consumes) (void)rd_kafka_poll_set_consumer(client->handle());
    client->queue_.reset(consumes ? rd_kafka_queue_get_consumer(client->handle())
                                  : rd_kafka_queue_get_main(client->handle()));
    (void)rd_kafka_set_log_queue(client->handle(), client->queue_.get());
    constexpr std::uint64_t one = 1;
    rd_kafka_queue_io_event_enable(client->queue_.get(), client->fd(), &one, sizeof one);
    // librdkafka writes to it when an empty queue receives an event; the queue may have events already.
    (void)!::write(client->fd(), &one, sizeof one);
    return client;
}

Client::~Client() {
    if (queue_) rd_kafka_queue_io_event_enable(queue_.get(), -1, nullptr, 0);
    queue_.reset();
}

void Client::give_back() {
    rd_kafka_purge(handle(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
}

bool Client::serve(std::size_t limit, std::chrono::milliseconds timeout) {
    // Read before the queue: an event that arrives meanwhile makes it readable again.
    defer();
    for (std::size_t i = 0; i < limit; ++i) {
        const Owned<rd_kafka_event_t> event(
            rd_kafka_queue_poll(queue_.get(), i == 0 ? static_cast<int>(timeout.count()) : 0));
        if (!event) return false;
        handle(event.get());
    }
    constexpr std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
    return true;
}

void Client::handle(rd_kafka_event_t* event) {
    if (listener_ == nullptr) return;
    switch (rd_kafka_event_type(event)) {
        case RD_KAFKA_EVENT_DR:
            while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event)) listener_->on_report(*message);
            break;
        case RD_KAFKA_EVENT_FETCH:
            while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event)) listener_->on_message(*message);
            break;
        case RD_KAFKA_EVENT_REBALANCE:
            listener_->on_rebalance(rd_kafka_event_error(event), *rd_kafka_event_topic_partition_list(event));
            break;
        case RD_KAFKA_EVENT_ERROR:
            handle_error(event);
            break;
        case RD_KAFKA_EVENT_STATS:
            judge_statistics(rd_kafka_event_stats(event));
            break;
        case RD_KAFKA_EVENT_LOG: {
            const char* facility = nullptr;
            const char* text = nullptr;
            int level = 0;
            if (rd_kafka_event_log(event, &facility, &text, &level) == 0) listener_->on_log(level, text);
            break;
        }
        default:
            break;
    }
}

std::string Client::cluster() const {
    char* const id = rd_kafka_clusterid(handle(), 0);
    std::string text = id == nullptr ? "" : id;
    rd_kafka_mem_free(handle(), id);
    return text;
}

Result<void> Client::subscribe(const std::string& topic) {
    const Owned<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
    (void)rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
    const auto error = rd_kafka_subscribe(handle(), list.get());
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
    return Error{FLOWD_ERROR, std::string("librdkafka: ") + rd_kafka_err2str(error)};
}

void Client::assign(bool assigned, const rd_kafka_topic_partition_list_t& partitions) {
    const Owned<rd_kafka_error_t> error(assigned ? rd_kafka_incremental_assign(handle(), &partitions)
                                                 : rd_kafka_incremental_unassign(handle(), &partitions));
    if (error && listener_ != nullptr)
        listener_->on_error(rd_kafka_error_code(error.get()), rd_kafka_error_string(error.get()));
}

void Client::pause(bool paused) {
    rd_kafka_topic_partition_list_t* list = nullptr;
    if (rd_kafka_assignment(handle(), &list) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    const Owned<rd_kafka_topic_partition_list_t> owned(list);
    (void)(paused ? rd_kafka_pause_partitions(handle(), list) : rd_kafka_resume_partitions(handle(), list));
}

void Client::restart_at(const std::string& topic, std::int32_t partition, std::int64_t offset) {
    const Owned<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
    // After an offset error (auto.offset.reset=error) the partition is stopped; a seek is not possible.
    assign(false, *list);
    assign(true, *list);
}

void Client::store(const std::string& topic, std::int32_t partition, std::int64_t offset) {
    const Owned<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
    (void)rd_kafka_offsets_store(handle(), list.get());
}

void Client::leave(const Deadline& deadline) {
    constexpr std::chrono::milliseconds step(20);
#if RD_KAFKA_VERSION >= 0x010900ff
    rd_kafka_queue_io_event_enable(queue_.get(), -1, nullptr, 0);
    // From now on, what was for the old queue is in this one.
    queue_.reset(rd_kafka_queue_new(handle()));
    const Owned<rd_kafka_error_t> error(rd_kafka_consumer_close_queue(handle(), queue_.get()));
    // Until the coordinator has confirmed: a group has a member that has not left for another session.timeout.ms.
    while (!error && rd_kafka_consumer_closed(handle()) == 0 && !deadline.passed()) (void)serve(1000, step);
#else
    (void)rd_kafka_unsubscribe(handle());
    for (bool assigned = true; assigned && !deadline.passed();) {
        (void)serve(1000, step);
        rd_kafka_topic_partition_list_t* list = nullptr;
        if (rd_kafka_assignment(handle(), &list) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
        const Owned<rd_kafka_topic_partition_list_t> owned(list);
        assigned = list->cnt > 0;
    }
    // The client's threads send the request that leaves the group.
    (void)serve(1000, 5 * step);
#endif
}

void Client::defer() {
    std::uint64_t count = 0;
    (void)!::read(wake_.get(), &count, sizeof count);
}

void Client::handle_error(rd_kafka_event_t* event) {
    const rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const char* const text = rd_kafka_event_error_string(event);
    const Owned<rd_kafka_topic_partition_t> partition(rd_kafka_event_topic_partition(event));
    const bool is_of_offset = code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || code == RD_KAFKA_RESP_ERR__NO_OFFSET ||
                              code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
    if (partition && is_of_offset)
        listener_->on_no_offset(partition->partition, text == nullptr ? "" : text);
    else
        listener_->on_error(code, text);
}

void Client::judge_statistics(const char* json) {
    simdjson::dom::parser parser;
    simdjson::dom::object brokers;
    if (parser.parse(std::string_view(json)).get_object()["brokers"].get(brokers) != simdjson::SUCCESS) return;
    const bool connected = std::any_of(brokers.begin(), brokers.end(), [](const auto& broker) {
        std::string_view state;
        return broker.value["state"].get(state) == simdjson::SUCCESS && state == "UP";
    });
    if (connected) listener_->on_connected();
}

}  // namespace flowd::kafka
