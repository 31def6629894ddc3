// SPDX-License-Identifier: Apache-2.0
#include "backends/kafka/pipeline.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace flowd::kafka {
namespace {

/// Sending the same record again would have the same result.
[[nodiscard]] bool is_final(rd_kafka_resp_err_t error) {
    return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || error == RD_KAFKA_RESP_ERR_INVALID_MSG ||
           error == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE || error == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
           error == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP;
}

/// librdkafka borrows key and value until its report, which has `number`.
[[nodiscard]] rd_kafka_resp_err_t produce(rd_kafka_t* handle, const char* topic, Record& record, std::uint64_t number) {
    std::array<rd_kafka_vu_t, 4> values{};
    values[0].vtype = RD_KAFKA_VTYPE_TOPIC;
    values[0].u.cstr = topic;
    values[1].vtype = RD_KAFKA_VTYPE_KEY;
    values[1].u.mem = {record.key.data(), record.key.size()};
    values[2].vtype = RD_KAFKA_VTYPE_VALUE;
    values[2].u.mem = {record.value.data(), record.value.size()};
    values[3].vtype = RD_KAFKA_VTYPE_OPAQUE;
    values[3].u.ptr = reinterpret_cast<void*>(number);
    const std::unique_ptr<rd_kafka_error_t, decltype(&rd_kafka_error_destroy)> error(
        rd_kafka_produceva(handle, values.data(), values.size()), &rd_kafka_error_destroy);
    return error ? rd_kafka_error_code(error.get()) : RD_KAFKA_RESP_ERR_NO_ERROR;
}

}  // namespace

void Pipeline::count_event() {
    ++events_;
    if (entries_.empty())
        settled_events_ = events_;
    else
        entries_.back().events = events_;
}

void Pipeline::add(Record record) {
    ++events_;
    entries_.push_back({std::move(record), events_});
    bytes_ += entries_.back().bytes();
}

void Pipeline::add_spooled(Record record, std::int64_t spool_id) {
    entries_.push_back({std::move(record), 0, State::waiting, spool_id});
    bytes_ += entries_.back().bytes();
}

Pipeline::Sent Pipeline::send(rd_kafka_t* handle, const char* topic, Clock::time_point now) {
    if (turns_back_) {
        if (flying_ != 0 || now < again_) return Sent::blocked;
        turns_back_ = false;
        next_ = 0;
    }
    for (; next_ < entries_.size(); ++next_) {
        Entry& entry = entries_[next_];
        if (entry.state != State::waiting) continue;
        const rd_kafka_resp_err_t error = produce(handle, topic, entry.record, first_ + next_);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
            entry.state = State::flying;
            ++flying_;
            continue;
        }
        if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) return Sent::blocked;
        trouble_ = error;
        if (error == RD_KAFKA_RESP_ERR__FATAL) return Sent::fatal;
        // Records in flight precede it and may be returned, too.
        turns_back_ = true;
        again_ = now + pause;
        return Sent::blocked;
    }
    return Sent::all;
}

Pipeline::Fate Pipeline::settle(const rd_kafka_message_t& report, Clock::time_point now) {
    const auto index = static_cast<std::size_t>(reinterpret_cast<std::uint64_t>(report._private) - first_);
    if (index >= entries_.size() || entries_[index].state != State::flying) return Fate::back;
    Entry& entry = entries_[index];
    --flying_;
    trouble_ = report.err;
    if (report.err != RD_KAFKA_RESP_ERR_NO_ERROR && !is_final(report.err)) {
        entry.state = State::waiting;
        if (rd_kafka_message_status(&report) != RD_KAFKA_MSG_STATUS_NOT_PERSISTED) entry.record.flag_redelivered();
        turns_back_ = true;
        again_ = now + pause;
        return Fate::back;
    }
    entry.state = State::settled;
    drop_settled();
    return report.err == RD_KAFKA_RESP_ERR_NO_ERROR ? Fate::acknowledged : Fate::given_up;
}

void Pipeline::drop_settled() {
    while (!entries_.empty() && entries_.front().state == State::settled) {
        settled_events_ = std::max(settled_events_, entries_.front().events);
        spool_done_ = std::max(spool_done_, entries_.front().spool_id);
        bytes_ -= entries_.front().bytes();
        entries_.pop_front();
        ++first_;
        if (next_ > 0) --next_;
    }
}

void Pipeline::forget_flights() {
    for (Entry& entry : entries_) {
        if (entry.state != State::flying) continue;
        entry.state = State::waiting;
        entry.record.flag_redelivered();
    }
    flying_ = 0;
    next_ = 0;
    turns_back_ = false;
}

}  // namespace flowd::kafka
