// SPDX-License-Identifier: Apache-2.0
// One configured component, alive: its thread, its loop, its host, and every call into the module.
//
//   configured -> creating -> preparing -> prepared -> starting -> running -> stopping -> stopped
//                     any failure, or an exception out of the module -> (stop, destroy) -> failed
//
// An Instance belongs to the main thread; what may be used elsewhere says so. All calls into the module are made on the
// instance's own thread, one at a time, behind an exception barrier: an exception of the module, or an invalid result, is
// an error of this instance only.
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
    std::string last_error;     ///< the latest, even if it is over
    std::int64_t last_error_ns = 0;
    std::uint64_t errors = 0;          ///< calls that answered an error
    std::uint64_t exceptions = 0;      ///< C++ exceptions that left the module
    std::uint64_t bad_results = 0;     ///< invalid results
    std::uint64_t batches = 0;         ///< on_events calls
    std::uint64_t batches_failed = 0;  ///< of them, those that answered an error
    std::uint64_t events_lost = 0;     ///< lost: by the core at its stop, or by the module
    std::uint64_t periods_missed = 0;  ///< sampling periods that found it busy
    std::string in_call;               ///< the call into the module that runs now; empty: none
    std::int64_t in_call_ns = 0;       ///< for how long
};

/// What a module's instance adds to the control socket: copies, so that they outlive it.
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

    /// Returns the names of those that are refused.
    std::vector<std::string> take(const flowd_ext_command& table);
};

class Instance {
  public:
    using Clock = std::chrono::steady_clock;

    /// `changed` is called on the instance's thread at every change of state: it should wake the main thread, no more.
    Instance(std::shared_ptr<const InstanceConfig> config, Services services, std::function<void()> changed);
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;
    /// Waits for the thread: ask for the stop, and see finished(), before.
    ~Instance();

    /// The one in force. [any]
    [[nodiscard]] std::shared_ptr<const InstanceConfig> config() const;
    [[nodiscard]] std::uint32_t kind() const { return kind_; }
    [[nodiscard]] const std::string& key() const { return key_; }
    /// "backend firefly/regional": unique over all kinds.
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] InstanceState state() const { return state_.load(std::memory_order_acquire); }  ///< [any]
    [[nodiscard]] InstanceStatus status() const;                                                  ///< [any]
    /// The problems of creating, preparing, starting and reconfiguring, and the result that decides the exit code. [any]
    [[nodiscard]] std::vector<Problem> problems() const;

    /// Creates and prepares on a new thread. Answers at once; state() tells how it went.
    void launch();
    /// Gives a plugin its place among the announcers, a backend its queue; from `predecessor`, if there is one, it takes
    /// these over. Between prepared and start().
    [[nodiscard]] Result<void> attach(const QueueLimits& limits, Instance* predecessor = nullptr);
    void start();
    /// Stops and destroys it, whatever its state. A backend is offered what waits for it first. May be repeated with an
    /// earlier deadline; the first `reason` (FLOWD_STOP_*) holds.
    void request_stop(Clock::time_point deadline, std::uint32_t reason);
    /// The thread has nothing left to do. [any]
    [[nodiscard]] bool finished() const { return finished_.load(std::memory_order_acquire); }
    /// Stops waiting for it: its state is abandoned. While it hangs, the process must end by _exit.
    void abandon();
    /// Removes it from the bus: a plugin's flows end unless another one announces them.
    void detach();
    [[nodiscard]] bool on_bus() const { return announcer_.has_value() || (queue_ != nullptr && !queue_left_); }

    /// Runs `job` on the instance's thread between other calls, while it runs. False: it does not run. [any]
    using Job = std::function<void(flowd_instance*)>;
    [[nodiscard]] bool run_job(Job job);
    /// Tries a new configuration on the running instance; `done` is called on its thread, or never when it stops meanwhile.
    /// `why`: what the module said of a failure, at its place in the new configuration.
    using Reconfigured = std::function<void(flowd_result, const std::string& why)>;
    void reconfigure(std::shared_ptr<const InstanceConfig> config, const Reconfigured& done);
    /// The same values, written elsewhere: from now on problems are located there.
    void relocate(std::shared_ptr<const InstanceConfig> config);
    /// The host, which threads of the module may still use after the instance is destroyed; null if it was never launched.
    [[nodiscard]] std::shared_ptr<Host> host() const { return host_; }
    /// Where the module may run now: "on_events for 12 s"; empty outside of it. [any]
    [[nodiscard]] std::string whereabouts() const;
    /// A failure that the core saw. [any]
    void record_problem(Problem problem);
    /// The core has no use for it: it is stopped, and shown as failed because of `problem`.
    void refuse(Problem problem, Clock::time_point deadline);
    /// Adds samples of all live flows; `open->done()` is called when it is through. False: the last period is not over.
    [[nodiscard]] bool sample(std::shared_ptr<OpenPeriod> open);
    /// Known once it runs, else null. Its functions are called by run_job(). [any]
    [[nodiscard]] std::shared_ptr<const Offered> offered() const;

    /// Questions of the control socket that it has still to answer. [any]
    std::atomic<std::uint32_t> questions{0};

    /// An exception must not pass through the caller: catches, counts, and takes the instance out of service. [instance]
    flowd_result guarded(const char* what, const std::function<flowd_result()>& call);

    /// Whether it answered the last ping; sends the next. For the watchdog.
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
    /// As a time series that lives as long as this.
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
    std::atomic<bool> broken_{false};  // an exception left the module, or run() returned by itself
    std::atomic<bool> room_{false};
    std::atomic<std::size_t> marks_passed_{0};  // and not called back yet
    std::atomic<bool> sampling_{false};
    bool live_ = false;             // [instance] on_events and the like may be called
    bool started_ = false;          // [instance] start succeeded
    bool stop_called_ = false;      // [instance]
    bool full_ = false;             // [instance] on_events returned FULL, and ready was not called since
    std::int64_t drain_until_ = 0;  // [instance]
    Loop::Id drain_timer_ = 0;      // [instance]

    std::atomic<const char*> in_call_{nullptr};
    std::atomic<std::int64_t> in_call_since_{0};
    std::atomic<std::uint64_t> errors_{0}, exceptions_{0}, bad_results_{0}, batches_{0}, batches_failed_{0},
        events_lost_{0}, periods_missed_{0};
    std::atomic<std::uint64_t> pings_{0}, pongs_{0};

    std::shared_ptr<BackendQueue> queue_;
    bool queue_left_ = false;  // a successor has it, or the bus forgot it
    std::optional<AnnouncerId> announcer_;

    mutable std::mutex mutex_;  // guards the members below
    std::condition_variable wanted_;
    std::shared_ptr<const InstanceConfig> config_;
    std::shared_ptr<const InstanceConfig> tried_;  ///< by a reconfigure that is under way
    std::string tried_error_;                      ///< the first that the module reported of it
    bool start_wanted_ = false;
    std::shared_ptr<const Offered> offered_;
    std::vector<Problem> problems_;
    std::string last_error_;
    std::int64_t last_error_ns_ = 0;
    std::shared_ptr<Metric> state_metric_;

    std::unique_ptr<Thread> thread_;  // last: joined before anything it uses goes away
};

}  // namespace flowd::core
