// SPDX-License-Identifier: Apache-2.0
// The running daemon: starts the instances of a configuration file, passes events, and stops on a signal.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/exit_codes.hpp"
#include "core/base/logging.hpp"

namespace flowd::core {

struct DaemonOptions {
    std::string conf;
    std::string control;               ///< overrides `control.path` of the configuration; empty: no override
    std::vector<std::string> modules;  ///< directories that are searched first
    LogOptions log = {};
    /// Ends the process if the thread of an abandoned instance still runs, so that no object it uses is destroyed.
    /// Not set: _exit.
    std::function<void(int)> exit_now = {};
};

/// Belongs to the main thread. run() may be called once; it receives SIGTERM, SIGINT and SIGHUP by signalfd.
class Daemon {
  public:
    explicit Daemon(DaemonOptions options);
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;
    ~Daemon();

    /// Starts all configured instances, runs until a stop is requested, stops all instances. Failures have been logged.
    [[nodiscard]] ExitCode run();

  private:
    class Implementation;
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace flowd::core
