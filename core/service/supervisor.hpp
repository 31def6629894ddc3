// SPDX-License-Identifier: Apache-2.0
// All instances of a configuration: starts them in order, replaces them on a reload, stops them with deadlines.
// Belongs to the main thread. During long operations the main loop continues to run, see `wait`.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/exit_codes.hpp"
#include "core/config/configuration.hpp"
#include "core/modules/instance.hpp"
#include "core/service/reload_plan.hpp"

namespace flowd::core {

class Supervisor {
  public:
    using Clock = std::chrono::steady_clock;
    using Condition = std::function<bool()>;

    enum class WaitFor { start, stop };  ///< a daemon that stops need not wait for starts

    struct Surroundings {
        Services services;
        /// Called on any thread when an instance has changed its state; it should only wake the main thread.
        std::function<void()> changed;
        /// Runs the main loop until the condition holds, the deadline has come or the wait is cut short. Returns whether
        /// the condition holds.
        std::function<bool(const Condition&, Clock::time_point, WaitFor)> wait;
        spdlog::logger& logger;
        /// Runs a job whose duration grows with the number of flows, and returns when it has ended.
        std::function<void(const std::function<void()>&)> aside = [](const std::function<void()>& job) { job(); };
    };
    struct Settings {
        std::chrono::nanoseconds start_timeout = std::chrono::seconds(30);  ///< for each step of starting
        std::chrono::nanoseconds stop_timeout = std::chrono::seconds(5);    ///< for plugins, and again for backends
        QueueLimits queues = {};
    };
    struct ReloadOutcome {
        bool ok = true;
        std::string error = {};
        ExitCode code = ExitCode::ok;  ///< of the error: as that of a start
        std::size_t kept = 0, reconfigured = 0, replaced = 0, added = 0, removed = 0;
    };

    Supervisor(Surroundings surroundings, Settings settings);
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;
    ~Supervisor();

    void set(const Settings& settings) { settings_ = settings; }

    /// Starts all instances. If a required one fails, the others are stopped, and the exit code says why.
    [[nodiscard]] ExitCode start(std::vector<InstanceConfig> configs);
    /// If it fails before the switch, the old instances keep running, unchanged.
    [[nodiscard]] ReloadOutcome reload(std::vector<InstanceConfig> configs);
    /// Stops plugins and enrichers first, then backends, which take their queued events. `hurry`: without waiting.
    void stop(bool hurry = false, std::uint32_t reason = FLOWD_STOP_DAEMON_ENDS);
    /// Removes failed instances from the bus.
    void reap();

    [[nodiscard]] const std::vector<std::unique_ptr<Instance>>& instances() const { return instances_; }
    [[nodiscard]] const std::vector<std::unique_ptr<Instance>>& abandoned() const { return abandoned_; }
    /// Hosts of removed instances that exist still: the last 64, and those that await an answer.
    [[nodiscard]] std::size_t hosts_of_removed() const { return hosts_.size(); }
    /// Finds by "KIND KEY" or "KIND:KEY", or by key alone if only one kind has it; null if there is none.
    [[nodiscard]] Instance* find(std::string_view name) const;
    /// Events that stopped instances had not taken, or had reported as lost; including instances that reloads removed.
    [[nodiscard]] std::uint64_t events_lost() const;
    /// Whether a thread of an abandoned instance is still running.
    [[nodiscard]] bool must_exit_hard() const;

  private:
    using Instances = std::vector<Instance*>;

    [[nodiscard]] std::unique_ptr<Instance> make(std::shared_ptr<const InstanceConfig> config);
    [[nodiscard]] bool wait_prepared(const Instances& instances);
    [[nodiscard]] bool wait_running(const Instances& instances);
    void wait_stopped(const Instances& instances, std::chrono::nanoseconds timeout, std::uint32_t reason);
    void give_up_on_late(const Instances& instances);
    [[nodiscard]] bool bring_up(const Instances& instances);
    [[nodiscard]] bool bring_up(Instance& instance);
    /// Attaches it to the bus; if that fails, the instance is stopped.
    void attach(Instance& instance, Instance* predecessor);
    void detach(Instance& instance);
    void dispose(std::unique_ptr<Instance> instance);
    [[nodiscard]] static ExitCode code_of(const Instance& instance);
    void warn_if_useless() const;

    // reload
    [[nodiscard]] bool prepare_change(ReloadPlan& plan, ReloadOutcome& outcome);
    [[nodiscard]] bool try_reconfigure(ReloadPlan& plan, ReloadOutcome& outcome);
    void make_way(const Instance& old);
    void roll_back(ReloadPlan& plan);
    void switch_over(ReloadPlan& plan, std::uint32_t kinds, ReloadOutcome& outcome);
    void restore(ReloadPlan::Change& change, ReloadOutcome& outcome);

    Surroundings surroundings_;
    Settings settings_;
    std::vector<std::unique_ptr<Instance>> instances_;
    std::vector<std::unique_ptr<Instance>> abandoned_;
    std::deque<std::shared_ptr<Host>> hosts_;  // of the instances that were removed last
    std::uint64_t lost_before_ = 0;            // by removed instances
};

}  // namespace flowd::core
