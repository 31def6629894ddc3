// SPDX-License-Identifier: Apache-2.0
// A running configured component: its thread, its loop, its host, and all calls into the module.
//
//   configured -> creating -> preparing -> prepared -> starting -> running -> stopping -> stopped
//                     any failure, or an exception out of the module -> (stop, destroy) -> failed
//
// An Instance belongs to the main thread, except for functions marked otherwise. All calls into the module are made on the
// instance's own thread, one at a time, behind an exception barrier: an exception of the module or an invalid result is an
// error of this instance only.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/loop.hpp"
#include "core/base/thread.hpp"
#include "core/config/configuration.hpp"
#include "core/host/host.hpp"
#include "core/host/services.hpp"
#include "core/modules/open_period.hpp"
#include "flowd/abi/ext/command.h"
#include "flowd/abi/ext/explain.h"
#include "flowd/abi/ext/findings.h"
#include "flowd/abi/ext/status.h"

namespace flowd::core {

enum class InstanceState {
    configured,
    creating,
    preparing,
    prepared,
    starting,
    running,
    stopping,
    stopped,
    failed,
    abandoned
};

[[nodiscard]] std::string_view to_string(InstanceState state);

/// A problem of an instance as a whole, with its place in the configuration.
[[nodiscard]] Problem problem_of(const InstanceConfig& config, flowd_result result, std::string message);

/// The state of an instance for `status`.
struct InstanceStatus {
    InstanceState state = InstanceState::configured;
    std::int64_t since_ns = 0;  ///< Unix time of the last change of state
    std::string last_error;     ///< the latest, even if it no longer persists
    std::int64_t last_error_ns = 0;
    std::uint64_t errors = 0;          ///< calls that answered an error
    std::uint64_t exceptions = 0;      ///< calls that returned an error
    std::uint64_t bad_results = 0;     ///< C++ exceptions that the module threw
    std::uint64_t batches = 0;         ///< on_events calls
    std::uint64_t batches_failed = 0;  ///< of them, those that returned an error
    std::uint64_t events_lost = 0;     ///< by the core when the instance stopped, or by the module
    std::uint64_t periods_missed = 0;  ///< sampling periods skipped because the last one was still running
    std::string in_call;               ///< the current call into the module; empty: none
    std::int64_t in_call_ns = 0;       ///< its duration until now
};

/// The extensions of an instance for the control socket. A copy, so that it outlives the instance.
struct Offered {
    struct Command {
        std::string name;
        std::string arguments;
        std::string summary;
        bool changes = false;
    };
    std::vector<Command> commands;
    decltype(flowd_ext_command::run) run = nullptr;
    decltype(flowd_ext_status::status) status = nullptr;
    decltype(flowd_ext_findings::instance) findings = nullptr;
    decltype(flowd_ext_explain::explain) explain = nullptr;

    /// Copies the commands of `table`. Returns the names of refused ones.
    std::vector<std::string> take(const flowd_ext_command& table);
};

class Instance {
  public:
    using Clock = std::chrono::steady_clock;

    /// `changed` is called on the instance's thread at every change of state; it should only wake the main thread.
    Instance(std::shared_ptr<const InstanceConfig> config, Services services, std::function<void()> changed);
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;
    /// Joins the thread. Call request_stop() and wait for finished() before.
    ~Instance();

    /// The configuration in force. [any]
    [[nodiscard]] std::shared_ptr<const InstanceConfig> config() const;
    [[nodiscard]] std::uint32_t kind() const { return kind_; }
    [[nodiscard]] const std::string& key() const { return key_; }
    /// "backend firefly/regional": unique over all kinds.
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] InstanceState state() const { return state_.load(std::memory_order_acquire); }  ///< [any]
    [[nodiscard]] InstanceStatus status() const;                                                  ///< [any]
    /// The problems of create, prepare, start and reconfigure; their results decide the exit code. [any]
    [[nodiscard]] std::vector<Problem> problems() const;

    /// Creates and prepares on a new thread. Returns at once; state() shows the result.
    void launch();
    /// Registers a plugin as an announcer, or gives a backend its queue. With a `predecessor`, takes over its place or
    /// queue. Call it between `prepared` and start().
    [[nodiscard]] Result<void> attach(const QueueLimits& limits, Instance* predecessor = nullptr);
    void start();
    /// Stops and destroys it in any state. A backend is first offered its queued events. Further calls may only bring the
    /// deadline forward; the first `reason` (FLOWD_STOP_*) is used.
    void request_stop(Clock::time_point deadline, std::uint32_t reason);
    /// The thread has ended its work. [any]
    [[nodiscard]] bool finished() const { return finished_.load(std::memory_order_acquire); }
    /// Stops waiting for a thread that hangs: the state is abandoned. While it hangs, the process must end by _exit.
    void abandon();
    /// Removes it from the bus: a plugin's flows end unless another one announces them.
    void detach();
    [[nodiscard]] bool on_bus() const { return announcer_.has_value() || (queue_ != nullptr && !queue_left_); }

    /// Runs `job` on the instance's thread, between other calls. False: the instance does not run. [any]
    using Job = std::function<void(flowd_instance*)>;
    [[nodiscard]] bool run_job(Job job);
    /// Tries a new configuration on the running instance. `done` is called on its thread, but never if the instance stops
    /// before. `why`: the error that the module reported, with its location in the new configuration.
    using Reconfigured = std::function<void(flowd_result, const std::string& why)>;
    void reconfigure(std::shared_ptr<const InstanceConfig> config, const Reconfigured& done);
    /// Replaces the configuration by one with equal values; problems are then located in it.
    void relocate(std::shared_ptr<const InstanceConfig> config);
    /// The host, which threads of the module may use even after destroy; null before launch().
    [[nodiscard]] std::shared_ptr<Host> host() const { return host_; }
    /// The current call into the module: "on_events for 12 s"; empty if there is none. [any]
    [[nodiscard]] std::string whereabouts() const;
    /// Records a failure that the core detected. [any]
    void record_problem(Problem problem);
    /// Stops an instance that the core cannot use; its state becomes failed, with `problem` as the reason.
    void refuse(Problem problem, Clock::time_point deadline);
    /// Has an enricher add samples of all live flows, then calls `open->done()`. False: the last period is still running.
    [[nodiscard]] bool sample(std::shared_ptr<OpenPeriod> open);
    /// Null until it runs. Its functions are called by run_job(). [any]
    [[nodiscard]] std::shared_ptr<const Offered> offered() const;

    /// Queries of the control socket that the instance has not answered yet. [any]
    std::atomic<std::uint32_t> questions{0};

    /// Makes a call whose exceptions are caught and counted; after an exception the instance is stopped. [instance]
    flowd_result guarded(const char* what, const std::function<flowd_result()>& call);

    /// Whether it answered the last ping; sends the next one. For the watchdog.
    [[nodiscard]] bool responds();

  private:
    void run_thread();
    [[nodiscard]] bool step(InstanceState state, const char* what, const std::function<flowd_result()>& call);
    [[nodiscard]] bool wait_for_start();
    void live();
    bool work();
    [[nodiscard]] bool take_batch();
    std::size_t offer(std::span<const flowd_event> events);
    [[nodiscard]] bool drained();
    void count_lost(const Remains& remains);
    void stop_module();
    void tear_down();
    void read_extensions();
    void leave_queue();
    flowd_result dispatch();
    void set_state(InstanceState state);
    /// Exports the state as a time series that exists as long as this instance.
    void show_state(InstanceState state);
    void report(const flowd_problem& reported);
    void record_error(std::string_view text);
    void record_error(std::string_view text, std::string_view logged);
    [[nodiscard]] bool stop_requested() const { return stop_at_.load(std::memory_order_acquire) != 0; }

    const std::uint32_t kind_;
    const std::string key_;
    const std::string name_;
    Services services_;
    const std::function<void()> changed_;
    const flowd_component& component_;
    std::unique_ptr<Loop> loop_;
    std::shared_ptr<Host> host_;
    flowd_instance* module_ = nullptr;  // [instance]

    std::atomic<InstanceState> state_{InstanceState::configured};
    std::atomic<std::int64_t> since_ns_{0};
    std::atomic<bool> finished_{true};
    std::atomic<std::int64_t> stop_at_{0};  // steady nanoseconds; 0: no stop was requested
    std::atomic<std::uint32_t> stop_reason_{0};
    std::atomic<bool> broken_{false};  // the module threw an exception, or run() returned without a stop
    std::atomic<bool> room_{false};
    std::atomic<std::size_t> marks_passed_{0};  // whose callbacks have not been called yet
    std::atomic<bool> sampling_{false};
    bool live_ = false;             // [instance] on_events and similar functions may be called
    bool started_ = false;          // [instance] start succeeded
    bool stop_called_ = false;      // [instance]
    bool full_ = false;             // [instance] on_events returned FLOWD_FULL, and the module has not called ready since
    std::int64_t drain_until_ = 0;  // [instance]
    Loop::Id drain_timer_ = 0;      // [instance]

    std::atomic<const char*> in_call_{nullptr};
    std::atomic<std::int64_t> in_call_since_{0};
    std::atomic<std::uint64_t> errors_{0}, exceptions_{0}, bad_results_{0}, batches_{0}, batches_failed_{0},
        events_lost_{0}, periods_missed_{0};
    std::atomic<std::uint64_t> pings_{0}, pongs_{0};

    std::shared_ptr<BackendQueue> queue_;
    bool queue_left_ = false;  // a successor has taken the queue, or it was removed from the bus
    std::optional<AnnouncerId> announcer_;

    mutable std::mutex mutex_;  // guards the members below
    std::condition_variable wanted_;
    std::shared_ptr<const InstanceConfig> config_;
    std::shared_ptr<const InstanceConfig> tried_;  ///< by a pending reconfigure
    std::string tried_error_;                      ///< the first error that the module reported for it
    bool start_wanted_ = false;
    std::shared_ptr<const Offered> offered_;
    std::vector<Problem> problems_;
    std::string last_error_;
    std::int64_t last_error_ns_ = 0;
    std::shared_ptr<Metric> state_metric_;

    std::unique_ptr<Thread> thread_;  // last: joined before the members it uses are destroyed
};

}  // namespace flowd::core
