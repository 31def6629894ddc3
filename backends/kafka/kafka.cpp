// SPDX-License-Identifier: Apache-2.0
#include "backends/kafka/kafka.hpp"

#include <algorithm>
#include <utility>

#include "lib/firefly/host_name.hpp"

namespace flowd::kafka {
namespace {

/// How long a client that ends may report the fate of its records.
constexpr std::chrono::seconds settle_time{2};
constexpr std::chrono::milliseconds step{20};

/// The spool must have room for a record of this size before one is composed.
constexpr std::uint64_t usual_record = 16 * 1024;

[[nodiscard]] RecordWriter::Options writer_options(const Host& host, const KafkaOptions& options) {
    return {firefly::host_name(),
            "flowd-cpp v" + std::string(host.core_version()),
            options.enrichment_mode,
            {source_name(options.connection().broker_list(), options.topic)},
            options.max_size};
}

}  // namespace

KafkaBackend::KafkaBackend(Host& host, Options options)
    : Backend(host),
      options_(std::move(options)),
      pipeline_(options_.queue),
      counters_(host,
                {
                    {"records", "kafka_records_total", "Records that the brokers have acknowledged.", &records_},
                    {"bytes", "kafka_record_bytes_total", "Size of these records before compression.", &bytes_},
                    {"waiting", "kafka_waiting", "Records that the brokers have not acknowledged yet.",
                     [this] { return pipeline_.waiting(); }},
                    {"waitingBytes", "kafka_waiting_bytes", "Size of these records.", [this] { return pipeline_.bytes(); }},
                    {"sentAgain", "kafka_sent_again_total", "Records that came back and were sent again.", &again_},
                    {"skipped", "kafka_skipped_total", "Events without a record, by reason.",
                     Counters::by("reason", skip_names, skipped_).without_zeros()},
                    {"givenUp", "kafka_given_up_total", "Records that were given up, by reason.",
                     Counters::by("reason", given_up_names, given_up_).without_zeros()},
                    {"full", "kafka_full_total", "How often events had to wait because the queue was full.", &full_count_},
                    {"spooled", "kafka_spooled_total", "Records that were made durable in the spool.",
                     [this] { return spool_ ? spool_->written() : 0; }},
                    {"spoolFull", "kafka_spool_full_total", "How often the spool had no room.", &spool_full_count_},
                    {"redelivered", "kafka_redelivered_total", "Records of the spool that may have been written before.",
                     &redelivered_},
                    {"", "kafka_spool_records", "Records in the spool.", [this] { return spool_ ? spool_->records() : 0; }},
                    {"", "kafka_spool_bytes", "Size of the records in the spool.",
                     [this] { return spool_ ? spool_->bytes() : 0; }},
                    {"restarts", "kafka_restarts_total", "How often the producer was re-created after a fatal error.",
                     &restarts_},
                    {"", "kafka_up", "1 while the brokers are reachable.", [this] { return !is_unreachable(); }},
                }) {}

Result<void> KafkaBackend::prepare() {
    writer_.emplace(writer_options(host(), options_));
    if (auto opened = open_spool(); !opened) return opened;
    // Reads the files of certificates and keys.
    return connect();
}

Result<void> KafkaBackend::connect() {
    auto client = Client::producer(options_.connection(), options_, this);
    if (!client) return std::move(client).error();
    client_ = std::move(*client);
    broken_ = false;
    return {};
}

Result<void> KafkaBackend::watch() {
    auto watch = host().watch(client_->fd(), FLOWD_IO_READ, [this](std::uint32_t) { serve(); });
    if (!watch) return std::move(watch).error();
    watch_ = std::move(*watch);
    return {};
}

void KafkaBackend::disconnect() {
    watch_.reset();
    if (!client_) return;
    client_->give_back();
    const auto limit = Pipeline::Clock::now() + settle_time;
    while (pipeline_.flying() > 0 && Pipeline::Clock::now() < limit) (void)client_->serve(turn, step);
    // Its threads read records of the pipeline until it has ended.
    client_.reset();
    pipeline_.forget_flights();
}

Result<void> KafkaBackend::start() {
    acknowledge_ = static_cast<const flowd_ext_acknowledge*>(host().extension(FLOWD_EXT_ACKNOWLEDGE));
    if (acknowledge_ != nullptr) (void)acknowledge_->acknowledge(host().raw(), 0);
    if (auto watching = watch(); !watching) return watching;
    if (options_.spool) {
        auto spool_timer = host().every(spool_period, [this] {
            (void)open_spool();
            serve();
        });
        if (!spool_timer) return std::move(spool_timer).error();
        spool_timer_ = std::move(*spool_timer);
    }
    return publisher_.start();
}

Result<void> KafkaBackend::reconfigure(Options options) {
    if (options.spool.has_value() != options_.spool.has_value() ||
        (options.spool && (options.spool->path != options_.spool->path || !spool_)))
        return Error{FLOWD_UNSUPPORTED, "the path of the spool has changed"};
    // librdkafka checks the new options before the old client ends.
    if (auto judged = Client::producer(options.connection(), options, nullptr); !judged) return std::move(judged).error();
    disconnect();
    options_ = std::move(options);
    pipeline_.use(options_.queue);
    writer_->use(writer_options(host(), options_));
    if (spool_) spool_->use(options_.spool->max_bytes);
    unreachable_ = authentication_ = topic_missing_ = {};
    ever_connected_ = false;
    cluster_.clear();
    if (auto connected = connect(); !connected) return connected;
    if (auto watching = watch(); !watching) return watching;
    serve();
    return {};
}

bool KafkaBackend::wanted(const EventView& event) const {
    // As in the firefly backend: the core creates a sampled event for each flow and sampling period.
    return !event.is_ongoing() || !event.has(FLOWD_SAMPLED) || event.has(FLOWD_RETAGGED) ||
           (options_.enrich && event->sample_count != 0);
}

Taken KafkaBackend::on_events(const Events& events) {
    const std::int64_t now_ns = unix_time_ns();
    std::size_t taken = 0;
    for (const EventView event : events) {
        if (!spooling_ && spool_ && (is_stuck() || !pipeline_.has_room(options_.max_size))) (void)begin_spooling();
        // Before a record is composed: a record that has a number and is not taken would be a gap in the numbers.
        if (full_ = is_full(); full_) break;
        const bool is_wanted = wanted(event);
        auto record = is_wanted ? writer_->write(event, now_ns) : std::nullopt;
        if (full_ = record && !put(std::move(*record)); full_) break;
        ++taken;
        if (record) continue;
        if (spooling_)
            pipeline_.count_spooled();
        else
            pipeline_.pass();
        if (!is_wanted) continue;
        ++skipped_[static_cast<std::size_t>(writer_->why())];
        if (writer_->why() == Skip::too_large) note_too_large(options_.max_size);
    }
    if (full_) ++full_count_;
    send();
    acknowledge();
    return full_ ? Taken::full(taken) : Taken::all();
}

bool KafkaBackend::is_full() {
    if (awaits_spool()) return true;
    if (!spooling_) return !pipeline_.has_room(options_.max_size);
    if (spool_->has_room(usual_record)) return false;
    note_spool_full("it has " + std::to_string(spool_->bytes()) + " bytes");
    return true;
}

bool KafkaBackend::put(Record record) {
    if (!spooling_) {
        pipeline_.add(std::move(record));
        return true;
    }
    if (!append(std::move(record))) return false;
    pipeline_.count_spooled();
    return true;
}

void KafkaBackend::send() {
    if (broken_ || !client_) return;
    const auto sent = pipeline_.send(client_->handle(), options_.topic.c_str(), Pipeline::Clock::now());
    if (sent == Pipeline::Sent::blocked && pipeline_.trouble() != RD_KAFKA_RESP_ERR_NO_ERROR)
        note_trouble(pipeline_.trouble(), rd_kafka_err2str(pipeline_.trouble()));
    broken_ = broken_ || sent == Pipeline::Sent::fatal;
}

void KafkaBackend::serve() {
    if (client_) (void)client_->serve(turn);
    if (broken_) restart();
    turn_spool();
    send();
    acknowledge();
    if (full_ && !awaits_spool() && has_much_room()) {
        full_ = false;
        host().ready();
    }
}

/// After a fatal error, an idempotent producer takes no more records.
void KafkaBackend::restart() {
    const auto now = Pipeline::Clock::now();
    if (now < restart_again_) return;
    restart_again_ = now + Pipeline::pause;
    ++restarts_;
    host().warning("the producer is re-created: " + last_error_);
    disconnect();
    auto made = connect();
    if (made) made = watch();
    if (!made) last_error_ = made.error().message;
}

void KafkaBackend::acknowledge() {
    if (acknowledge_ == nullptr || pipeline_.settled_events() == acknowledged_events_) return;
    acknowledged_events_ = pipeline_.settled_events();
    (void)acknowledge_->acknowledge(host().raw(), acknowledged_events_);
}

void KafkaBackend::on_report(const rd_kafka_message_t& message) {
    const std::size_t bytes = message.len + message.key_len;
    switch (pipeline_.settle(message, Pipeline::Clock::now())) {
        case Pipeline::Fate::acknowledged:
            ++records_;
            bytes_ += bytes;
            topic_missing_.end();
            on_connected();
            return;
        case Pipeline::Fate::given_up:
            if (message.err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) note_too_large(bytes);
            give_up(message.err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? GivenUp::too_large : GivenUp::refused);
            last_error_ = rd_kafka_err2str(message.err);
            return;
        case Pipeline::Fate::back:
            ++again_;
            if (message.err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || message.err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) return;
            return note_trouble(message.err, rd_kafka_err2str(message.err));
    }
}

void KafkaBackend::on_error(rd_kafka_resp_err_t code, const char* reason) {
    std::array<char, 512> why{};
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        (void)rd_kafka_fatal_error(client_->handle(), why.data(), why.size());
        broken_ = true;
        reason = why.data();
    }
    note_trouble(code, reason == nullptr ? "" : reason);
}

void KafkaBackend::note_trouble(rd_kafka_resp_err_t code, std::string_view text) {
    if (!text.empty()) last_error_ = text;
    switch (code) {
        case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
            if (!authentication_.lasts()) host().warning("the brokers refuse this client: " + last_error_);
            return authentication_.begin(text);
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
            if (!unreachable_.lasts()) host().warning("no broker is reachable: " + last_error_);
            return unreachable_.begin(unreachable_.text.empty() ? text : std::string_view(unreachable_.text));
        case RD_KAFKA_RESP_ERR__TRANSPORT:
        case RD_KAFKA_RESP_ERR__RESOLVE:
        case RD_KAFKA_RESP_ERR__SSL:
            unreachable_.text = text;
            return;
        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
            if (!topic_missing_.lasts()) host().warning("the topic " + options_.topic + " does not exist");
            return topic_missing_.begin(text);
        default:
            return;
    }
}

void KafkaBackend::on_connected() {
    if (unreachable_.lasts() || authentication_.lasts()) host().info("the brokers are reachable again");
    unreachable_ = {};
    authentication_.end();
    ever_connected_ = true;
    if (cluster_.empty() && !(cluster_ = client_->cluster()).empty())
        writer_->add_source(source_name(cluster_, options_.topic));
}

void KafkaBackend::on_log(int level, const char* text) {
    constexpr int warning = 4;  // syslog(3)
    if (level < warning)
        last_error_ = text;
    else
        host().debug(text);
}

void KafkaBackend::note_too_large(std::size_t bytes) {
    too_large_last_ns_ = unix_time_ns();
    too_large_.begin("a record of about " + std::to_string(bytes) + " bytes");
}

/// Brokers close idle connections: an error only while records wait.
bool KafkaBackend::is_unreachable() const {
    return unreachable_.lasts() && (!ever_connected_ || pipeline_.waiting() > 0 || spooling_);
}

void KafkaBackend::publish() {
    if (too_large_.lasts() && unix_time_ns() - too_large_last_ns_ > std::chrono::nanoseconds(remembered).count())
        too_large_.end();
    counters_.publish();
}

Result<void> KafkaBackend::stop(Deadline deadline) {
    spool_timer_.reset();
    // With a spool, the stop does not wait for brokers that do not answer.
    while (client_ && !broken_ && pipeline_.waiting() > 0 && !deadline.passed() && !(spool_ && is_stuck())) {
        send();
        (void)client_->serve(turn, step);
        acknowledge();
    }
    disconnect();
    if (spool_ && pipeline_.waiting() > 0) (void)begin_spooling();
    turn_spool();
    std::uint64_t left = 0;
    (void)pipeline_.spill([&](const Record&, std::int64_t&) { return ++left, true; });
    give_up(GivenUp::stopped, left);
    acknowledge();
    publisher_.stop();
    spool_.reset();
    host().lost(left, "records were not acknowledged before the stop");
    return {};
}

void KafkaBackend::status(json::Writer& object) const {
    object.member("summary", summary());
    if (is_stuck() || spool_full_.lasts() || spool_unusable_.lasts()) object.member("state", "degraded");
    object.member("topic", options_.topic);
    object.member("brokers", options_.connection().broker_list());
    counters_.status(object);
    if (spool_) {
        object.key("spool").object().member("path", options_.spool->path).member("records", spool_->records());
        object.member("bytes", spool_->bytes()).member("maxBytes", spool_->max_bytes()).end();
    }
    if (!last_error_.empty()) object.member("lastError", last_error_);
}

}  // namespace flowd::kafka
