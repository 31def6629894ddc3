// SPDX-License-Identifier: Apache-2.0
// The catalog of components that this product has packages for (etc/catalog.yaml): data, so that the core knows no
// module by name, yet an alias or an absent module is understood without loading anything. Immutable after loading.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/result.hpp"

namespace flowd::core {

/// With an option of a component, an administrator means a backend as well.
struct Implication {
    std::string when;     ///< the option that implies it, by its name in the table
    std::string backend;  ///< key of the instance: "firefly/receivers"; empty: nothing is implied
    /// Its options: a value, or `$NAME` for the value of an option of the component.
    std::vector<std::pair<std::string, std::string>> options;
};

class Catalog {
  public:
    struct Entry {
        std::uint32_t kind = 0;  ///< FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER
        std::string name;
        std::vector<std::string> aliases;
        std::string package;  ///< to install for it
        Implication implies;
    };

    /// An empty catalog.
    Catalog() = default;
    [[nodiscard]] static Result<Catalog> load(const std::filesystem::path& file);
    [[nodiscard]] static Result<Catalog> parse(std::string_view yaml, const std::string& file_name);

    /// By name or alias, case-insensitive; null if unknown.
    [[nodiscard]] const Entry* find(std::uint32_t kind, std::string_view name) const;
    [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

  private:
    std::vector<Entry> entries_;
};

}  // namespace flowd::core
