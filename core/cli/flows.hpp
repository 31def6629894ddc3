// SPDX-License-Identifier: Apache-2.0
// The commands `flows` and `observe`. Main thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/cli/commands.hpp"

namespace flowd::core::cli {

struct FlowsCommand {
    std::optional<std::uint64_t> limit;
    std::string filter, sort, summary;
    std::string format;  ///< json, jsonl or csv; empty: a table
    bool ended = false, wide = false, watch = false;
};
struct ObserveCommand {
    bool follow = false;
    std::optional<std::uint64_t> last;
    std::string filter;
    std::string format;  ///< jsonl; empty: text
};

[[nodiscard]] ExitCode show_flows(const GlobalOptions& options, const Output& output, const FlowsCommand& command,
                                  bool out_is_terminal);
[[nodiscard]] ExitCode observe(const GlobalOptions& options, const Output& output, const ObserveCommand& command);

/// The state of `flows --watch`, without the terminal.
class FlowsWatch {
  public:
    explicit FlowsWatch(FlowsCommand command) : command_(std::move(command)) {
        if (command_.sort.empty()) command_.sort = "rate";
    }

    /// The question for the daemon that fills a screen of so many rows.
    [[nodiscard]] control::Arguments question(std::size_t rows) const;
    /// The screen: exactly `rows` lines of at most `columns` columns. `error`: in place of the flows; may be empty.
    [[nodiscard]] std::string screen(std::string_view json, std::string_view error, std::size_t columns,
                                     std::size_t rows) const;
    enum class Next { wait, ask, end };
    /// A key, as the terminal sends it.
    [[nodiscard]] Next key(char key);
    [[nodiscard]] bool is_paused() const { return is_paused_; }

  private:
    FlowsCommand command_;
    std::optional<std::string> edited_;  ///< the filter that is being written
    bool is_paused_ = false;
};

}  // namespace flowd::core::cli
