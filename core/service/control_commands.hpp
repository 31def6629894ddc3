// SPDX-License-Identifier: Apache-2.0
// The commands of the control socket:
//   status                      the daemon, every instance, every edge of the bus; what the modules add of themselves
//   status INSTANCE             one instance; the same as INSTANCE status where the module has no command of that name
//   flows [LIMIT]               live flows
//   metrics                     all time series
//   refusals                    what instances refused from outside, the last 256
//   findings                    what instances find amiss now
//   explain PROTOCOL END END    what the core and each instance know of one flow
//   reload                      as SIGHUP; returns when it is done
//   commands                    the commands of all instances
//   INSTANCE COMMAND ARGUMENT... a command of an instance ("marker mode observe"); INSTANCE alone lists its commands
// Main thread; long answers are written on the worker, replies of instances on their threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "core/control/server.hpp"
#include "core/service/own_findings.hpp"
#include "core/service/supervisor.hpp"

namespace flowd::core {

/// The state of the daemon for `status`.
struct DaemonStatus {
    std::string state;  ///< "starting", "running", "reloading", "stopping"
    std::string config;
    std::int64_t started_ns = 0;         ///< Unix time, to be shown
    std::int64_t started_steady_ns = 0;  ///< for durations: Unix time may be set
    std::int64_t last_reload_ns = 0;
    std::string last_reload_error;
    std::uint64_t reloads = 0, reloads_failed = 0;
};

class ControlCommands {
  public:
    struct Surroundings {
        Supervisor& supervisor;
        Services services;
        std::function<DaemonStatus()> daemon;
        std::function<void(control::Responder)> reload;  ///< does it soon, then answers
        /// Calls back on the main thread, after a delay. [any]
        std::function<void(std::chrono::milliseconds, std::function<void()>)> defer;
        /// Runs on another thread what would keep the main thread for long.
        std::function<void(std::function<void()>)> aside;
        OwnFindings& own_findings;  ///< asked there
    };
    explicit ControlCommands(Surroundings surroundings) : surroundings_(std::move(surroundings)) {}

    void handle(const control::Arguments& arguments, const control::Peer& peer, control::Responder respond);

    /// Asks all instances what they find, for metrics and `status`.
    void look_for_findings() {
        ask_findings([] {});
    }

  private:
    using Ask = std::function<void(Instance&, const Offered&, flowd_instance*)>;
    /// Runs `ask` on the thread of each instance that `can`; then, or when the time is over, `finish` on the main thread.
    /// `also` may keep what it is given for as long as it has to be waited for as well.
    void ask_instances(const std::function<bool(const Offered&)>& can, const Ask& ask, std::function<void()> finish,
                       const std::function<void(std::shared_ptr<void>)>& also = {});
    void ask_findings(std::function<void()> finish);
    void findings(control::Responder respond);
    void explain(const control::Arguments& arguments, control::Responder respond);
    void status(control::Responder respond);
    void status_of(const Instance& instance, control::Responder respond);
    /// What the instances say of themselves, and what they find, is asked for at the same time; then `finish`.
    void ask_status(std::function<void(const std::map<std::string, std::string>& details)> finish);
    /// FLOWD_INVALID: there is none of this name, or several.
    [[nodiscard]] Result<Instance*> named(const std::string& word) const;
    void flows(const control::Arguments& arguments, const control::Responder& respond);
    void metrics(const control::Responder& respond);
    void refusals(const control::Responder& respond);
    /// `name`: of one or several instances; empty: all.
    void commands(std::string_view name, const control::Responder& respond);
    void run(const control::Arguments& arguments, const control::Peer& peer, control::Responder respond);

    Surroundings surroundings_;
};

}  // namespace flowd::core
