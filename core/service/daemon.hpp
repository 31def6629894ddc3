// SPDX-License-Identifier: Apache-2.0
// The running daemon: from a configuration file to instances that pass events, until a signal ends it.
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
    std::string control;               ///< overrides `control.path` of the configuration; empty: as configured
    std::vector<std::string> modules;  ///< directories to look into before all others
    LogOptions log = {};
    /// Ends the process when an abandoned instance's thread still runs, so that nothing it uses is destroyed under it.
    /// Not set: _exit.
    std::function<void(int)> exit_now = {};
};

/// Belongs to the main thread. run() may be called once; it handles SIGTERM, SIGINT and SIGHUP by signalfd.
class Daemon {
  public:
    explicit Daemon(DaemonOptions options);
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;
    ~Daemon();

    /// Starts everything that is configured, runs until it is told to stop, stops everything. Every failure was logged.
    [[nodiscard]] ExitCode run();

  private:
    class Implementation;
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace flowd::core
