// SPDX-License-Identifier: Apache-2.0
// The commands of the control socket:
//   status                      the daemon, every instance, every edge of the bus, and the status of the modules
//   status INSTANCE             one instance; same as INSTANCE status if the module has no command of that name
//   flows [LIMIT] ...           live or ended flows (flow_queries.hpp)
//   observe ...                 what happens to flows
//   metrics                     all time series
//   refusals                    the last 256 inputs that instances refused
//   findings                    the present findings of instances
//   explain PROTOCOL END END    what the core and each instance know about one flow
//   explain LABEL|SCITAG|TAG    ... about a tag: the live flows that have it, and what gives it
//   reload                      same as SIGHUP; returns when the reload has ended
//   commands                    the commands of all instances
//   INSTANCE COMMAND ARGUMENT... a command of an instance ("marker mode observe"); INSTANCE alone lists its commands
// Main thread; long replies are generated on the worker, replies of instances on their threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/control/server.hpp"
#include "core/service/explain.hpp"
#include "core/service/own_findings.hpp"
#include "core/service/supervisor.hpp"

namespace flowd::core {

/// The state of the daemon for `status`.
struct DaemonStatus {
    std::string state;  ///< "starting", "running", "reloading", "stopping"
    std::string config;
    std::int64_t started_ns = 0;         ///< Unix time, for display
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
        std::function<void(control::Responder)> reload;  ///< requests a reload; replies when it has ended
        /// Calls a function on the main thread after a delay. [any]
        std::function<void(std::chrono::milliseconds, std::function<void()>)> defer;
        /// Runs a long operation on another thread.
        std::function<void(std::function<void()>)> aside;
        OwnFindings& own_findings;  ///< queried on that thread
    };
    explicit ControlCommands(Surroundings surroundings) : surroundings_(std::move(surroundings)) {}

    void handle(const control::Arguments& arguments, const control::Peer& peer, control::Responder respond);

    /// Queries the findings of all instances, for metrics and `status`.
    void look_for_findings() {
        ask_findings([] {});
    }

  private:
    using Ask = std::function<void(Instance&, const Offered&, flowd_instance*)>;
    /// Runs `ask` on the thread of each instance for which `can` is true; then, or after a time limit, `finish` on the main
    /// thread. `also` receives an object: `finish` waits until that is released as well.
    void ask_instances(const std::function<bool(const Offered&)>& can, const Ask& ask, std::function<void()> finish,
                       const std::function<void(std::shared_ptr<void>)>& also = {});
    void ask_findings(std::function<void()> finish);
    void findings(control::Responder respond);
    void explain(const control::Arguments& arguments, control::Responder respond);
    void explain_flow(const flowd_key& key, control::Responder respond);
    void explain_flow(const std::shared_ptr<ExplainedFlow>& told, control::Responder respond);
    void explain_tag(const TagQuestion& question, const std::shared_ptr<TagSurvey>& found, control::Responder respond);
    void status(control::Responder respond);
    void status_of(const Instance& instance, control::Responder respond);
    /// Queries status and findings of all instances concurrently, then calls `finish`.
    void ask_status(std::function<void(const std::map<std::string, std::string>& details)> finish);
    /// FLOWD_INVALID: no instance has this name, or several have it.
    [[nodiscard]] Result<Instance*> named(const std::string& word) const;
    void flows(const control::Arguments& arguments, const control::Responder& respond);
    void observe(const control::Arguments& arguments, const control::Responder& respond);
    void metrics(const control::Responder& respond);
    void refusals(const control::Responder& respond);
    /// `name`: of one or several instances; empty: all of them.
    void commands(std::string_view name, const control::Responder& respond);
    void run(const control::Arguments& arguments, const control::Peer& peer, control::Responder respond);

    Surroundings surroundings_;
};

}  // namespace flowd::core
