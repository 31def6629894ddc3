// SPDX-License-Identifier: Apache-2.0
// Records on their way to the brokers. Belongs to one thread.
//
// Invariants:
// - entries_ has, in order, every record that is neither acknowledged nor given up; those before next_ have been handed to
//   librdkafka, and it reports each once.
// - librdkafka reads the value of an entry where it is, so an entry does not move or end before its report.
// - Records that are in the spool as well have its ids, in ascending order; those without one are behind or were never
//   spilled.
// - A record that comes back is sent again, with what follows it, once everything has come back: the order is kept. It is
//   flagged as redelivered if it may have been written.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "backends/kafka/client.hpp"
#include "backends/kafka/options.hpp"
#include "backends/kafka/record.hpp"

namespace flowd::kafka {

class Pipeline {
  public:
    using Clock = std::chrono::steady_clock;
    /// How long records that were returned wait until they are sent again.
    static constexpr std::chrono::seconds pause{1};

    explicit Pipeline(Queue limits) : limits_(limits) {}
    void use(Queue limits) { limits_ = limits; }
    Pipeline(const Pipeline&) = delete;
    Pipeline& operator=(const Pipeline&) = delete;

    /// Whether a record of this size may be added. One always fits an empty pipeline.
    [[nodiscard]] bool has_room(std::size_t bytes) const {
        return entries_.empty() || (entries_.size() < limits_.records && bytes_ + bytes <= limits_.bytes);
    }
    /// At most three quarters are used.
    [[nodiscard]] bool has_much_room() const {
        return entries_.size() <= limits_.records / 4 * 3 && bytes_ <= limits_.bytes / 4 * 3;
    }
    /// The record of the event after those that were counted before.
    void add(Record record);
    /// An event without a record.
    void pass() { count_event(); }
    /// A record that is in the spool.
    void add_spooled(Record record, std::int64_t spool_id);
    /// An event whose record is in the spool, or that has none while others are being spooled.
    void count_spooled() { ++events_; }
    /// Calls spill(record, id) for every record that is not in the spool yet, in order, until it answers false.
    template <typename Spill>
    bool spill(Spill spill) {
        for (Entry& entry : entries_)
            if (entry.state != State::settled && entry.spool_id == 0 && !spill(entry.record, entry.spool_id)) return false;
        return true;
    }
    /// Everything that was counted is acknowledged, given up or durable.
    void settle_all() { settled_events_ = events_; }
    /// The spool's records up to this one are not needed any more.
    [[nodiscard]] std::int64_t spool_done() const { return spool_done_; }
    [[nodiscard]] bool is_half_empty() const {
        return entries_.size() <= limits_.records / 2 && bytes_ <= limits_.bytes / 2;
    }

    enum class Sent : std::uint8_t { all, blocked, fatal };
    /// Hands records to the client. blocked: call again later.
    Sent send(rd_kafka_t* handle, const char* topic, Clock::time_point now);
    enum class Fate : std::uint8_t { acknowledged, given_up, back };
    /// A report of the client.
    Fate settle(const rd_kafka_message_t& report, Clock::time_point now);
    /// The client has ended, and with it its reports: everything is sent again. What it had may have been written.
    void forget_flights();

    [[nodiscard]] std::uint64_t settled_events() const { return settled_events_; }
    [[nodiscard]] std::size_t waiting() const { return entries_.size(); }
    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    [[nodiscard]] std::size_t flying() const { return flying_; }
    /// Why the last record came back or could not be sent; no error: it was acknowledged.
    [[nodiscard]] rd_kafka_resp_err_t trouble() const { return trouble_; }

  private:
    enum class State : std::uint8_t { waiting, flying, settled };
    struct Entry {
        Record record;
        std::uint64_t events;  ///< counted up to this one and those without a record behind it
        State state = State::waiting;
        std::int64_t spool_id = 0;  ///< 0: it is not in the spool
        [[nodiscard]] std::size_t bytes() const { return record.key.size() + record.value.size(); }
    };
    void count_event();
    void drop_settled();

    Queue limits_;
    std::deque<Entry> entries_;
    std::uint64_t first_ = 0;  ///< number of entries_.front(), from the first record ever
    std::size_t next_ = 0;     ///< index of the first entry that is to be handed over
    std::size_t flying_ = 0;
    std::size_t bytes_ = 0;
    bool turns_back_ = false;  ///< an entry before next_ waits
    Clock::time_point again_{};
    std::uint64_t events_ = 0;
    std::uint64_t settled_events_ = 0;
    std::int64_t spool_done_ = 0;
    rd_kafka_resp_err_t trouble_ = RD_KAFKA_RESP_ERR_NO_ERROR;
};

}  // namespace flowd::kafka
