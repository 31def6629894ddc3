// SPDX-License-Identifier: Apache-2.0
// Log lines on stderr: "[error] [firefly/regional] text". Under systemd (stderr is JOURNAL_STREAM) a line begins with the
// priority "<3>" instead of its level, and has no time. Any thread.
#pragma once

#include <spdlog/logger.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "flowd/abi/base.h"

namespace flowd::core {

struct LogOptions {
    spdlog::level::level_enum level = spdlog::level::info;
    bool time = false;
    std::optional<bool> journal = {};  ///< not set: detect
    int fd = 2;                        ///< output; borrowed
};

/// "trace", "debug", "info", "warning", "error"; empty for other texts.
[[nodiscard]] std::optional<spdlog::level::level_enum> parse_log_level(std::string_view word);
[[nodiscard]] spdlog::level::level_enum to_spdlog(flowd_level level);

/// The sink of all loggers of a daemon. Created once.
class Logging {
  public:
    explicit Logging(const LogOptions& options);

    /// The logger of an instance; an empty name is the core.
    [[nodiscard]] std::shared_ptr<spdlog::logger> logger(const std::string& name) const;

  private:
    spdlog::level::level_enum level_;
    std::shared_ptr<spdlog::sinks::sink> sink_;
};

}  // namespace flowd::core
