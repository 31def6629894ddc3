// SPDX-License-Identifier: Apache-2.0
#include "backends/kafka/source.hpp"

#include <algorithm>
#include <utility>

#include "backends/kafka/record.hpp"
#include "lib/firefly/blocks.hpp"
#include "lib/firefly/event.hpp"
#include "lib/firefly/provenance.hpp"

namespace flowd::kafka {
namespace {

/// As fireflyp: the core accepts an event with so many bytes of blocks for any datagram.
constexpr std::size_t most_block_bytes = 128 * 1024;

/// Older records are counted: the consumer was stopped for long, or its offsets were set back.
constexpr std::int64_t old_after_ms = 3'600'000;

}  // namespace

KafkaSource::KafkaSource(Host& host, Options options)
    : Plugin(host),
      options_(std::move(options)),
      reader_(options_.max_size),
      receivers_(source_name(options_.connection().broker_list(), options_.topic) + "\n"),
      counters_(
          host,
          {
              {"records", "kafka_read_total", "Records that were read.", &records_},
              {"bytes", "kafka_read_bytes_total", "Size of these records.", &bytes_},
              {"announced", "kafka_events_total", "Flow events announced, by state.",
               Counters::by("state", Outbox::kinds, outbox_.taken(), 1)},
              {"refused", [this] { return refused_; }},
              {"refusals", "kafka_refused_total", "Records that were refused, by reason.",
               Counters::Source("reason",
                                [this](const Counters::Visit& visit) {
                                    for (const auto& [reason, count] : refusals_) visit(reason, count);
                                })},
              {"redelivered", "kafka_read_again_total", "Records that were read or written before.", &redelivered_},
              {"old", "kafka_old_total", "Records that were more than an hour old when they were read.", &old_},
              {"differs", "kafka_differs_total", "Records whose objects contradict their message.", &differs_},
              {"own", "kafka_own_total", "Records of fireflies that this daemon sent itself.", &own_},
              {"outOfRange", "kafka_out_of_range_total", "How often an offset was not in the topic any more.",
               &out_of_range_},
              {"partitions", "kafka_partitions", "Partitions that are assigned to this instance.",
               [this] { return partitions_.size(); }},
              {"rebalances", "kafka_rebalances_total", "How often partitions were assigned or revoked.", &rebalances_},
              {"withdrawn", "kafka_withdrawn_total", "Flows that were withdrawn with their partition.", &withdrawn_},
              {"notTaken", "kafka_not_taken_total", "Records whose event the core refused.", &outbox_.refused()},
              {"paused", [this] { return outbox_.full(); }},
              {"pauses", "kafka_pauses_total", "How often reading stopped because the queues were full.",
               &outbox_.pauses()},
          }) {}

Result<void> KafkaSource::prepare() {
    auto client = Client::consumer(options_.connection(), options_.group, this);
    if (!client) return std::move(client).error();
    client_ = std::move(*client);
    return {};
}

Result<void> KafkaSource::start() {
    auto watch = host().watch(client_->fd(), FLOWD_IO_READ, [this](std::uint32_t) { serve(); });
    if (!watch) return std::move(watch).error();
    watch_ = std::move(*watch);
    if (auto started = publisher_.start(); !started) return started;
    return client_->subscribe(options_.topic);
}

void KafkaSource::serve() {
    if (outbox_.full()) (void)outbox_.drain();
    for (int i = 0; i < batches_per_turn && !outbox_.full(); ++i)
        if (!client_->serve(batch)) break;
    (void)outbox_.flush();
    mark();
    if (outbox_.full()) return client_->defer();
    if (std::exchange(paused_, false)) client_->pause(false);
}

void KafkaSource::keep_membership() {
    const bool is_full = outbox_.full();
    if (is_full && was_full_ && !std::exchange(paused_, true)) client_->pause(true);
    was_full_ = is_full;
    // Paused partitions deliver no records; events of the group have to be served.
    if (is_full && paused_) (void)client_->serve(batch);
    if (!is_full) serve();
}

void KafkaSource::on_message(const rd_kafka_message_t& message) {
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) return on_error(message.err, rd_kafka_message_errstr(&message));
    const auto known = partitions_.find(message.partition);
    if (known == partitions_.end()) return;  // it was revoked meanwhile; its next owner reads it
    unmarked_ = true;
    known->second.next = message.offset + 1;
    read(message, known->second);
}

void KafkaSource::on_no_offset(std::int32_t partition, std::string_view why) {
    // Reading continues with the oldest record that is there. A new group begins at startAt.
    const bool is_lost = why.find("out of range") != std::string_view::npos;
    const bool to_end = !is_lost && options_.start_at == StartAt::end;
    if (is_lost) {
        ++out_of_range_;
        last_error_ = "partition " + std::to_string(partition) + ": " + std::string(why);
        host().warning(last_error_ + "; reading goes on at its beginning");
    }
    client_->restart_at(options_.topic, partition, to_end ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING);
    if (paused_) client_->pause(true);
}

void KafkaSource::refuse(std::string_view reason, const rd_kafka_message_t& message) {
    ++refused_;
    ++refusals_[std::string(reason)];
    const auto* const bytes = static_cast<const char*>(message.payload);
    host().refused(
        reason, options_.topic + "[" + std::to_string(message.partition) + "]@" + std::to_string(message.offset),
        bytes == nullptr ? std::string_view() : std::string_view(bytes, std::min<std::size_t>(message.len, 256)));
}

void KafkaSource::read(const rd_kafka_message_t& message, Partition& partition) {
    ++records_;
    bytes_ += message.len;
    rd_kafka_timestamp_type_t type{};
    const std::int64_t written_ms = rd_kafka_message_timestamp(&message, &type);
    if (type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && unix_time_ns() / 1'000'000 - written_ms > old_after_ms) ++old_;
    std::int64_t& highest = highest_.try_emplace(message.partition, 0).first->second;
    const bool again = message.offset < highest;
    highest = std::max(highest, message.offset + 1);
    const auto read = reader_.read(static_cast<const char*>(message.payload), message.len);
    if (!read.refusal.empty()) return refuse(read.refusal, message);
    if (read.differs) ++differs_;
    const firefly::Firefly& firefly = read.firefly;
    if (firefly.member && (firefly.member->path.origin == boot_ || firefly.member->boot == boot_)) {
        ++own_;
        return;
    }
    flowd_event raw = firefly::to_event(firefly);
    Event event = Event::start(raw.key, raw.tag);
    *event.operator->() = raw;
    event.application(std::string(to_view(raw.application)));
    event.attach(FLOWD_ATTACHMENT_DATAGRAM, std::string(read.datagram));
    const firefly::Path path = firefly.member ? firefly.member->path : firefly::Path{boot_, 0};
    event.attach(std::string(firefly::provenance_attachment), firefly::to_text({path, {}, 0, receivers_}),
                 FLOWD_ATTACHMENT_KEEP);
    std::size_t left = most_block_bytes;
    for (const firefly::Block& block : firefly.blocks) {
        if (block.json.size() > left) break;
        left -= block.json.size();
        if (!is_own_member(block.name))
            event.attach(std::string(firefly::block_attachment).append(block.name), std::string(block.json));
    }
    if (again || read.redelivered) {
        ++redelivered_;
        event.attach(std::string(redelivered_attachment), "1");
    }
    if (raw.kind == FLOWD_EVENT_END)
        partition.flows.erase(raw.key);
    else
        partition.flows.insert(raw.key);
    outbox_.add(std::move(event));
}

void KafkaSource::mark() {
    if (!unmarked_ || outbox_.waiting() > 0) return;
    Offsets offsets;
    for (const auto& [number, partition] : partitions_)
        if (partition.next >= 0) offsets.emplace_back(number, partition.assignment, partition.next);
    // If too many marks are outstanding, the next mark covers these records.
    if (host().delivery().mark([this, offsets = std::move(offsets)] { store(offsets); })) unmarked_ = false;
}

void KafkaSource::store(const Offsets& offsets) {
    for (const auto& [number, assignment, offset] : offsets) {
        const auto known = partitions_.find(number);
        if (known != partitions_.end() && known->second.assignment == assignment)
            client_->store(options_.topic, number, offset);
    }
}

void KafkaSource::on_rebalance(rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t& partitions) {
    ++rebalances_;
    const bool assigned = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    for (int i = 0; i < partitions.cnt; ++i) {
        const std::int32_t number = partitions.elems[i].partition;
        if (const auto known = partitions_.find(number); known != partitions_.end()) {
            // At a stop, the core ends all flows of the instance.
            if (!stopping_) withdraw(known->second);
            partitions_.erase(known);
        }
        if (assigned) partitions_.try_emplace(number, Partition{++assignments_});
    }
    client_->assign(assigned, partitions);
    if (assigned && paused_) client_->pause(true);
}

void KafkaSource::withdraw(const Partition& partition) {
    const std::int64_t now = unix_time_ns();
    for (const flowd_key& flow : partition.flows) {
        Event event = Event::end(flow, {});
        event->end_reason = FLOWD_END_WITHDRAWN;
        event->time_ns = event->end_time_ns = now;
        event->flags = FLOWD_LEARNT_REMOTELY;
        outbox_.add(std::move(event));
    }
    withdrawn_ += partition.flows.size();
}

void KafkaSource::on_error(rd_kafka_resp_err_t code, const char* reason) {
    const std::string_view text = reason == nullptr ? "" : reason;
    if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) return;
    last_error_ = text;
    switch (code) {
        case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
            return authentication_.begin(text);
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
            return unreachable_.begin(text);
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
            return topic_missing_.begin(text);
        default:
            return;
    }
}

void KafkaSource::on_connected() {
    unreachable_.end();
    authentication_.end();
    if (cluster_.empty() && !(cluster_ = client_->cluster()).empty())
        firefly::add_receiver(receivers_, source_name(cluster_, options_.topic));
    if (!partitions_.empty()) topic_missing_.end();
}

void KafkaSource::on_log(int level, const char* text) {
    constexpr int warning = 4;  // syslog(3)
    if (level < warning)
        last_error_ = text;
    else
        host().debug(text);
}

Result<void> KafkaSource::stop(Deadline deadline) {
    stopping_ = true;
    watch_.reset();
    outbox_.stop(deadline);
    // Leaves the group at once. Records that were not committed are read again, here or by another member.
    if (client_ && publisher_.is_running()) client_->leave(deadline);
    publisher_.stop();
    client_.reset();
    return {};
}

std::vector<Finding> KafkaSource::findings() const {
    const Connection connection = options_.connection();
    std::vector<Finding> all;
    if (authentication_.lasts())
        all.push_back(unauthenticated(connection, authentication_.text, authentication_.since_ns));
    else if (unreachable_.lasts())
        all.push_back(unreachable(connection, unreachable_.text, unreachable_.since_ns));
    if (topic_missing_.lasts()) all.push_back(topic_missing(connection, topic_missing_.since_ns));
    return all;
}

void KafkaSource::status(json::Writer& object) const {
    std::string summary = "reads " + std::to_string(partitions_.size()) + " partitions of " + options_.topic;
    const bool is_degraded = unreachable_.lasts() || authentication_.lasts() || topic_missing_.lasts();
    if (authentication_.lasts()) summary = "is refused by " + options_.connection().name();
    if (unreachable_.lasts()) summary = "no broker answers";
    object.member("summary", summary);
    if (is_degraded) object.member("state", "degraded");
    object.member("topic", options_.topic).member("group", options_.group);
    counters_.status(object);
    if (!last_error_.empty()) object.member("lastError", last_error_);
}

}  // namespace flowd::kafka
