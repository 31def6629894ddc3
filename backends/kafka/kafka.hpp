// SPDX-License-Identifier: Apache-2.0
// The kafka backend: writes each flow event as a record to a topic.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/kafka/client.hpp"
#include "backends/kafka/options.hpp"
#include "backends/kafka/pipeline.hpp"
#include "backends/kafka/record.hpp"
#include "backends/kafka/trouble.hpp"
#include "flowd/abi/ext/acknowledge.h"
#include "flowd/module.hpp"
#include "flowd/publisher.hpp"
#include "lib/spool/spool.hpp"

namespace flowd::kafka {

/// Why a record was given up. Appended to, never reordered: values of a metric's label.
enum class GivenUp : std::uint8_t { too_large, refused, stopped, damaged };
inline constexpr std::array<std::string_view, 4> given_up_names{"too_large", "refused", "stopped", "damaged"};

struct SpoolToolOptions {
    std::string path;
    static const Table<SpoolToolOptions>& table();
};

/// Prints the state of a spool; a running daemon is not disturbed.
Result<void> show_spool(SpoolToolOptions options, ToolCall& call);

class KafkaBackend final : public Backend, private ClientListener {
  public:
    using Options = KafkaOptions;
    static constexpr Info info{.name = "kafka", .summary = "Writes flow events as records to a topic of Kafka."};

    KafkaBackend(Host& host, Options options);
    static void validate(const Options& options, Problems& problems) { KafkaOptions::validate(options, problems); }
    static std::vector<Tool> tools() {
        return {tool<&show_spool>("spool", "Shows what is in the spool of the configuration, or in another one.")};
    }
    std::vector<Finding> findings() const;
    static std::vector<Finding> host_findings(const Options& options, const Offline& core);
    Result<void> prepare() override;
    Result<void> start() override;
    Result<void> reconfigure(Options options);
    Result<void> stop(Deadline deadline) override;
    Taken on_events(const Events& events) override;
    void status(json::Writer& object) const override;

  private:
    /// Events of the client that are handled at a time, so that flow events and commands are not delayed.
    static constexpr std::size_t turn = 64;
    /// How often the spool is made durable: each time the disk is synchronised.
    static constexpr std::chrono::milliseconds spool_period{50};
    /// How long a record that was too large is a finding.
    static constexpr std::chrono::minutes remembered{10};

    void on_report(const rd_kafka_message_t& message) override;
    void on_error(rd_kafka_resp_err_t code, const char* reason) override;
    void on_connected() override;
    void on_log(int level, const char* text) override;

    /// Opens the spool. One that a predecessor in this process still has is opened later.
    Result<void> open_spool();
    /// Until then no event is taken: the records of a predecessor are written first.
    [[nodiscard]] bool awaits_spool() const { return options_.spool && !spool_; }
    /// From now on, records go through the spool. False: it has no room.
    bool begin_spooling();
    /// Into the pipeline or the spool. False: it is full.
    bool put(Record record);
    /// Into the spool.
    bool append(Record record);
    /// Makes durable what was put into the spool, and settles its events. False: the disk does not take all of it.
    bool commit_spool();
    /// The file is damaged: continues with a new one. Records of the old one that were not loaded are given up.
    void replace_spool(const std::string& why);
    void note_spool_full(const std::string& why);
    /// Removes what the brokers have, and loads what comes next.
    void turn_spool();
    [[nodiscard]] bool is_stuck() const;
    [[nodiscard]] bool has_much_room() const;
    [[nodiscard]] bool wanted(const EventView& event) const;
    Result<void> connect();
    Result<void> watch();
    /// Ends the client. What it did not write is in the pipeline again.
    void disconnect();
    void serve();
    void restart();
    [[nodiscard]] bool is_full();
    void send();
    void note_trouble(rd_kafka_resp_err_t code, std::string_view text);
    void note_too_large(std::size_t bytes);
    void acknowledge();
    void publish();
    [[nodiscard]] bool is_unreachable() const;
    [[nodiscard]] std::string summary() const;
    void give_up(GivenUp reason, std::uint64_t count = 1) { given_up_[static_cast<std::size_t>(reason)] += count; }

    Options options_;
    std::optional<RecordWriter> writer_;
    Pipeline pipeline_;
    std::unique_ptr<spool::Spool> spool_;
    bool spooling_ = false;           ///< the spool has records that are not in the pipeline
    std::int64_t loaded_ = 0;         ///< the spool's records up to this one are, or were, in the pipeline
    std::int64_t removed_ = 0;        ///< ... up to this one have been removed
    std::int64_t handed_before_ = 0;  ///< ... up to this one may have been sent by a process before
    std::unique_ptr<Client> client_;
    Watch watch_;
    const flowd_ext_acknowledge* acknowledge_ = nullptr;
    std::uint64_t acknowledged_events_ = 0;
    bool full_ = false;    ///< on_events returned FULL, and ready() was not called since
    bool broken_ = false;  ///< the client has reported a fatal error, or there is none
    Pipeline::Clock::time_point restart_again_{};

    Trouble unreachable_, authentication_, topic_missing_, too_large_, spool_full_, spool_unusable_, spool_aside_;
    std::int64_t too_large_last_ns_ = 0;
    bool ever_connected_ = false;
    std::string cluster_;  ///< empty: not known yet
    std::string last_error_;

    std::uint64_t records_ = 0, bytes_ = 0, again_ = 0, restarts_ = 0, full_count_ = 0, redelivered_ = 0,
                  spool_full_count_ = 0;
    std::array<std::uint64_t, skip_names.size()> skipped_{};
    std::array<std::uint64_t, given_up_names.size()> given_up_{};
    Counters counters_;
    Publisher publisher_{host(), [this] { publish(); }, [this] { serve(); }};
    Timer spool_timer_;
};

}  // namespace flowd::kafka
