// SPDX-License-Identifier: Apache-2.0
// Findings of the core itself: the clock, files that differ from the running configuration, refusals and losses of the bus.
// look() reads files, so it is called on one thread that is not the main thread.
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
#include "core/service/unregistered_tags.hpp"

namespace flowd::core {

class OwnFindings {
  public:
    /// The instance name of these findings.
    static constexpr const char* instance = "daemon";
    /// How long a loss is reported after it was detected.
    static constexpr std::int64_t memory_ns = 600'000'000'000;

    /// The inputs; each is queried once per look().
    struct Surroundings {
        std::function<BusCounters()> bus;
        std::function<std::vector<SourceFile>()> files_on_disk;  ///< of the configuration, at present
        std::function<std::vector<std::filesystem::path>()>
            changed_modules;  ///< loaded from files that have been replaced since
        std::function<bool()> is_clock_synchronised;
        std::function<std::int64_t()> steady_ns;
        std::function<std::vector<UnregisteredTags::Count>()> unregistered_tags;
    };
    explicit OwnFindings(Surroundings surroundings) : surroundings_(std::move(surroundings)) {}

    /// Sets the files that the running configuration was read from, and the findings of that configuration. [any]
    void set_in_force(std::vector<SourceFile> files, std::vector<Finding> findings);
    /// Adds a finding for the life of the daemon. [any]
    void add_of_start(Finding finding);
    [[nodiscard]] std::vector<Finding> look();

  private:
    struct Growth {
        std::uint64_t value = 0;
        std::int64_t seen_ns = 0;
    };
    void look_at_files(std::vector<Finding>& found) const;
    void look_at_bus(std::vector<Finding>& found);
    void look_at_tags(std::vector<Finding>& found);
    /// Whether the counter has increased within `memory_ns`.
    [[nodiscard]] bool grew(const std::string& counter, std::uint64_t value);

    Surroundings surroundings_;
    mutable std::mutex mutex_;  // guards in_force_, of_configuration_, of_start_
    std::vector<SourceFile> in_force_;
    std::vector<Finding> of_configuration_;
    std::vector<Finding> of_start_;
    std::map<std::string, Growth> growth_;
};

/// The finding for an instance that failed or does not return from a call, and so cannot report it. Main thread.
[[nodiscard]] std::optional<Finding> finding_of(const Instance& instance);

/// adjtimex(2). [any]
[[nodiscard]] bool is_clock_synchronised();
[[nodiscard]] Finding clock_finding();

}  // namespace flowd::core
