// SPDX-License-Identifier: Apache-2.0
// The kafka plugin: reads records from a topic and announces their flows.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <vector>

#include "backends/kafka/client.hpp"
#include "backends/kafka/record_reader.hpp"
#include "backends/kafka/source_options.hpp"
#include "backends/kafka/trouble.hpp"
#include "flowd/key.hpp"
#include "flowd/module.hpp"
#include "flowd/outbox.hpp"
#include "flowd/publisher.hpp"
#include "lib/firefly/flowd_member.hpp"

namespace flowd::kafka {

/// Offsets are committed once every backend has taken the events of the records before them. While the bus is full, nothing
/// is read; if that lasts, the partitions are paused, so that the group keeps this member. A record that cannot be read is
/// counted, and its offset is committed like that of any other.
class KafkaSource final : public Plugin, private ClientListener {
  public:
    using Options = KafkaSourceOptions;
    static constexpr Info info{.name = "kafka",
                               .summary = "Reads records from a topic of Kafka and announces their flows.",
                               .precedence = FLOWD_PRECEDENCE_EXPLICIT};

    KafkaSource(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { KafkaSourceOptions::validate(options, problems); }
    std::vector<Finding> findings() const;
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> stop(Deadline deadline) override;
    void on_room() override { serve(); }
    void status(json::Writer& object) const override;

  private:
    /// Events of the client between two looks at the outbox.
    static constexpr std::size_t batch = 64;
    /// Batches per wake-up, so that timers and commands are not delayed.
    static constexpr int batches_per_turn = 16;

    struct Partition {
        std::uint64_t assignment = 0;  ///< number of this assignment, so that a late mark is recognised
        std::int64_t next = -1;        ///< offset after the last record that was read; -1: none was
        std::unordered_set<flowd_key, KeyHash, KeyEqual> flows = {};  ///< live flows of its records
    };
    /// Partition, number of its assignment, offset.
    using Offsets = std::vector<std::tuple<std::int32_t, std::uint64_t, std::int64_t>>;

    void on_report(const rd_kafka_message_t&) override {}
    void on_message(const rd_kafka_message_t& message) override;
    void on_no_offset(std::int32_t partition, std::string_view why) override;
    void on_rebalance(rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t& partitions) override;
    void on_error(rd_kafka_resp_err_t code, const char* reason) override;
    void on_connected() override;
    void on_log(int level, const char* text) override;

    void serve();
    void read(const rd_kafka_message_t& message, Partition& partition);
    void refuse(std::string_view reason, const rd_kafka_message_t& message);
    /// Asks for a call when the backends have taken what was announced.
    void mark();
    void store(const Offsets& offsets);
    void withdraw(const Partition& partition);
    /// Every second: pauses the partitions if the bus has been full for the whole second.
    void keep_membership();

    Options options_;
    RecordReader reader_;
    std::uint64_t boot_ = firefly::this_boot();
    std::string cluster_;    ///< its id; empty: not known yet
    std::string receivers_;  ///< for the provenance of events: names of this topic
    Outbox outbox_{host()};
    std::map<std::int32_t, Partition> partitions_;
    std::map<std::int32_t, std::int64_t> highest_;  ///< offsets after what this instance has ever read
    std::uint64_t assignments_ = 0;
    bool unmarked_ = false;  ///< records were read since the last mark
    bool was_full_ = false;  ///< a second ago
    bool paused_ = false;    ///< the partitions are
    bool stopping_ = false;
    std::unique_ptr<Client> client_;
    Watch watch_;
    Trouble unreachable_, authentication_, topic_missing_;
    std::string last_error_;

    std::uint64_t records_ = 0, bytes_ = 0, redelivered_ = 0, old_ = 0, differs_ = 0, own_ = 0, out_of_range_ = 0,
                  rebalances_ = 0, withdrawn_ = 0, refused_ = 0;
    std::map<std::string, std::uint64_t, std::less<>> refusals_;
    Counters counters_;
    Publisher publisher_{host(), [this] { counters_.publish(); }, [this] { keep_membership(); }};
};

}  // namespace flowd::kafka
