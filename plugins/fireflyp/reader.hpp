// SPDX-License-Identifier: Apache-2.0
// Receives at one socket of each address, and announces what it understands. [instance] without a tag.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "flowd/module.hpp"
#include "flowd/outbox.hpp"
#include "flowd/unique_fd.hpp"
#include "lib/firefly/parser.hpp"
#include "lib/net/receive_batch.hpp"
#include "plugins/fireflyp/damper.hpp"
#include "plugins/fireflyp/event_batch.hpp"
#include "plugins/fireflyp/gate.hpp"
#include "plugins/fireflyp/inlet.hpp"
#include "plugins/fireflyp/loop_alarm.hpp"
#include "plugins/fireflyp/options.hpp"
#include "plugins/fireflyp/relay.hpp"
#include "plugins/fireflyp/streams.hpp"

namespace flowd::fireflyp {

/// Why a datagram was dropped without regard to its content. Appended to, never reordered: metric labels.
enum class TurnedAway : std::uint8_t {
    not_allowed,  ///< from none of the networks in `allow`
    rate,         ///< beyond `ratePerSource`
    own,          ///< this daemon is its origin: a loop
    repeated,     ///< its number was seen recently
};
inline constexpr std::array<std::string_view, 4> turned_away_names{"not_allowed", "rate", "own", "repeated"};

/// Counts of one reader, or of all.
struct Tally {
    std::uint64_t received = 0, drops = 0, lost = 0, lost_of_others = 0, not_taken = 0, pauses = 0;
    bool paused = false;  ///< one of them
    std::map<Address, std::uint64_t> lost_by_sender;
    std::array<std::uint64_t, Outbox::kinds.size()> announced{};
    std::array<std::uint64_t, turned_away_names.size()> turned_away{};
    std::array<std::uint64_t, firefly::refusal_names.size()> refused{};
    std::string last_error;
};

/// What the readers of an instance share.
struct Common {
    Common(Host& host, const FireflypOptions& options)
        : allowed(options.allow), relay(host, options.receivers, options.resolve_interval), loops(host) {}

    Allowed allowed;
    Relay relay;
    std::uint64_t boot = firefly::this_boot();
    Damper numbers{std::chrono::seconds(60), 1u << 17};
    LoopAlarm loops;
};

/// The only reader of an instance reads on the instance's thread; each of several has a thread of its own. A sender has one
/// reader, so that limits and gaps by sender belong to a reader.
///
/// Back-pressure: if the bus is full, reading stops at the event that did not fit, and continues with it once there is
/// room. Meanwhile the kernel buffers datagrams; those that do not fit its buffers are dropped and counted.
class Reader {
  public:
    Reader(Host& host, const FireflypOptions& options, Common& common, std::uint32_t index);
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() { halt(); }

    /// Opens a socket. An error leaves nothing.
    Result<void> open(const Endpoint& endpoint);
    void drop_last_inlet();
    [[nodiscard]] std::list<Inlet>& inlets() { return inlets_; }

    /// Reads what a predecessor left in the sockets. Call it for all readers before start(): with another number of
    /// readers, what a sender sends next has another reader.
    void catch_up();
    Result<void> start();
    void on_room();
    /// Once a second.
    void settle();

    /// Ends the reading; the functions below are for afterwards.
    void halt();
    /// Announces pending events, then reads the sockets until they are empty, but for those that a successor reads, or
    /// until the deadline has passed.
    void drain(const Deadline& deadline);
    /// Closes the sockets. Returns the number of fireflies that were not announced.
    [[nodiscard]] std::uint64_t close();

    void publish();
    void add_to(Tally& all) const;
    void add_findings(std::vector<Finding>& all) const;
    void status(json::Writer& array) const;

  private:
    using Clock = RateLimit::Clock;

    static constexpr std::size_t batch = 64;
    /// Batches per wake-up, so that timers and commands are not delayed under load.
    static constexpr int batches_per_turn = 8;

    [[nodiscard]] bool has_thread() const { return options_.readers > 1; }
    /// Locks mutex_. A waiting thread is served next: std::mutex alone would let a busy reader starve the others.
    [[nodiscard]] std::unique_lock<std::mutex> turn() const;
    void run();
    /// Of run(): the time until the outbox is to be drained; -1: never. Milliseconds.
    [[nodiscard]] int patience() const;
    void wake() const;

    // With the lock:
    void read(Inlet& inlet);
    /// Returns the number of datagrams.
    std::size_t read_batch(Inlet& inlet);
    void take(const net::Datagram& datagram, std::uint16_t port, Clock::time_point now);
    /// Whether the datagram loops: it was sent by this daemon, or was received recently.
    [[nodiscard]] bool circulates(const firefly::Firefly& firefly, const Address& peer, Clock::time_point now);
    void turn_away(TurnedAway reason) { ++turned_away_[static_cast<std::size_t>(reason)]; }

    Host& host_;
    const FireflypOptions& options_;
    Common& common_;
    std::uint32_t index_;

    mutable std::mutex next_;   ///< held by the one that waits for mutex_
    mutable std::mutex mutex_;  ///< held while a batch is worked on, and while counts are read
    std::list<Inlet> inlets_;
    net::ReceiveBatch receive_;
    firefly::Parser parser_;
    RateLimit rate_;
    Streams streams_;
    std::string passed_;
    EventBatch batch_;
    std::optional<Clock::time_point> drain_at_;  ///< by its thread, after an error of the core
    Outbox outbox_;                              ///< borrows from batch_
    std::array<std::uint64_t, turned_away_names.size()> turned_away_{};
    std::array<std::uint64_t, firefly::refusal_names.size()> refused_{};
    std::string last_error_;

    UniqueFd wake_;  ///< of the thread
    std::atomic<bool> ends_ = false, has_room_ = false;
    std::thread thread_;
};

}  // namespace flowd::fireflyp
