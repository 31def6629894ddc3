// SPDX-License-Identifier: Apache-2.0
// The SciTags registry: names of experiments and activities. Immutable after loading, so any thread may read it.
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

    /// An empty registry: only numbers are accepted.
    Registry() = default;

    [[nodiscard]] static Result<Registry> load(const std::filesystem::path& file);
    [[nodiscard]] static Result<Registry> parse(std::string_view json);

    /// Names are case-insensitive.
    [[nodiscard]] std::optional<std::uint32_t> experiment_id(std::string_view name) const;
    [[nodiscard]] std::optional<std::uint32_t> activity_id(std::uint32_t experiment, std::string_view name) const;
    /// The id of this activity if all experiments that contain it use the same id; otherwise empty.
    [[nodiscard]] std::optional<std::uint32_t> common_activity_id(std::string_view name) const;

    /// Empty for unknown ids. The views are valid as long as the registry, and are NUL-terminated.
    [[nodiscard]] std::string_view experiment_name(std::uint32_t id) const;
    [[nodiscard]] std::string_view activity_name(std::uint32_t experiment, std::uint32_t id) const;

    [[nodiscard]] const std::map<std::uint32_t, Experiment>& experiments() const { return experiments_; }
    /// When it was changed, as the file has it (RFC 3339, UTC); may be empty.
    [[nodiscard]] const std::string& modified() const { return modified_; }

    bool operator==(const Registry&) const = default;

  private:
    std::map<std::uint32_t, Experiment> experiments_;
    std::string modified_;
};

/// The current registry. Previous ones are kept for the lifetime of this object, because modules hold pointers to names.
class Registries {
  public:
    /// [any]
    [[nodiscard]] const Registry& current() const { return *current_.load(std::memory_order_acquire); }
    /// Makes a copy of the registry the current one. Main thread.
    void use(const Registry& registry);

  private:
    std::list<Registry> used_{Registry()};  ///< without duplicates
    std::atomic<const Registry*> current_{&used_.front()};
};

}  // namespace flowd::core
