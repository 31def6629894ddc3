// SPDX-License-Identifier: Apache-2.0
// Findings of the core itself: the clock, files that differ from the running configuration, refusals and losses of the bus.
// look() reads files: it belongs to one thread, which is not the main one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/config/source.hpp"
#include "core/flows/counters.hpp"
#include "core/host/findings.hpp"
#include "core/modules/instance.hpp"

namespace flowd::core {

class OwnFindings {
  public:
    /// The name under which they stand beside those of the instances.
    static constexpr const char* instance = "daemon";
    /// How long a loss is reported after it was seen.
    static constexpr std::int64_t memory_ns = 600'000'000'000;

    /// What is looked at; each is asked once per look.
    struct Surroundings {
        std::function<BusCounters()> bus;
        std::function<std::vector<SourceFile>()> files_on_disk;  ///< of the configuration
        std::function<std::vector<std::filesystem::path>()>
            changed_modules;  ///< loaded from a file that is another one now
        std::function<bool()> is_clock_synchronised;
        std::function<std::int64_t()> steady_ns;
    };
    explicit OwnFindings(Surroundings surroundings) : surroundings_(std::move(surroundings)) {}

    /// The files that the running configuration was read from, and what is amiss with it as a whole. [any]
    void set_in_force(std::vector<SourceFile> files, std::vector<Finding> findings);
    [[nodiscard]] std::vector<Finding> look();

  private:
    struct Growth {
        std::uint64_t value = 0;
        std::int64_t seen_ns = 0;
    };
    void look_at_files(std::vector<Finding>& found) const;
    void look_at_bus(std::vector<Finding>& found);
    /// Whether the counter has grown within `memory_ns`.
    [[nodiscard]] bool grew(const std::string& counter, std::uint64_t value);

    Surroundings surroundings_;
    mutable std::mutex mutex_;  // guards in_force_, of_configuration_
    std::vector<SourceFile> in_force_;
    std::vector<Finding> of_configuration_;
    std::map<std::string, Growth> growth_;
};

/// Of an instance that failed or does not return from a call: it cannot say so itself. Main thread.
[[nodiscard]] std::optional<Finding> finding_of(const Instance& instance);

/// adjtimex(2). [any]
[[nodiscard]] bool is_clock_synchronised();
[[nodiscard]] Finding clock_finding();

}  // namespace flowd::core
