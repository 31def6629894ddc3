// SPDX-License-Identifier: Apache-2.0
// The SciTags registry: names of experiments and activities. Immutable after loading: any thread may ask.
// Source of the format: https://scitags.org/api.json, version 1.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/result.hpp"

namespace flowd::core {

class Registry {
  public:
    struct Experiment {
        std::string name;
        std::map<std::uint32_t, std::string> activities;

        bool operator==(const Experiment&) const = default;
    };

    /// Knows nothing: numbers only.
    Registry() = default;

    [[nodiscard]] static Result<Registry> load(const std::filesystem::path& file);
    [[nodiscard]] static Result<Registry> parse(std::string_view json);

    /// Names are compared without regard to case.
    [[nodiscard]] std::optional<std::uint32_t> experiment_id(std::string_view name) const;
    [[nodiscard]] std::optional<std::uint32_t> activity_id(std::uint32_t experiment, std::string_view name) const;
    /// The id that every experiment which knows this activity gives it; nothing when they differ or none does.
    [[nodiscard]] std::optional<std::uint32_t> common_activity_id(std::string_view name) const;

    /// Empty for unknown ids. The views live as long as the registry, and are followed by a NUL.
    [[nodiscard]] std::string_view experiment_name(std::uint32_t id) const;
    [[nodiscard]] std::string_view activity_name(std::uint32_t experiment, std::uint32_t id) const;

    [[nodiscard]] const std::map<std::uint32_t, Experiment>& experiments() const { return experiments_; }

    bool operator==(const Registry&) const = default;

  private:
    std::map<std::uint32_t, Experiment> experiments_;
};

/// The registry in force. Those before stay for as long as this: modules hold names out of them.
class Registries {
  public:
    /// [any]
    [[nodiscard]] const Registry& current() const { return *current_.load(std::memory_order_acquire); }
    /// From now on. Main thread.
    void use(const Registry& registry);

  private:
    std::list<Registry> used_{Registry()};  ///< each once
    std::atomic<const Registry*> current_{&used_.front()};
};

}  // namespace flowd::core
