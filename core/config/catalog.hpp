// SPDX-License-Identifier: Apache-2.0
// The components that have packages (etc/catalog.yaml). They are data, so that the core names no module in its code,
// and resolves an alias or a missing module without loading modules. Immutable after loading.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/result.hpp"

namespace flowd::core {

/// A backend that is configured implicitly if an option of a component is set.
struct Implication {
    std::string when;     ///< the option that implies it, by its name in the option table
    std::string backend;  ///< key of the instance: "firefly/receivers"; empty: no implied backend
    /// Options of the backend: a value, or `$NAME` for the value of an option of the component.
    std::vector<std::pair<std::string, std::string>> options;
};

class Catalog {
  public:
    struct Entry {
        std::uint32_t kind = 0;  ///< FLOWD_PLUGIN, FLOWD_BACKEND, FLOWD_ENRICHER
        std::string name;
        std::vector<std::string> aliases;
        std::string package;  ///< the package that contains it
        Implication implies;
        /// What it requires of the kernel, and what it works without (docs/kernels.md): "BTF", "TCX|clsact".
        std::vector<std::string> needs, wants;
    };

    /// An empty catalog.
    Catalog() = default;
    [[nodiscard]] static Result<Catalog> load(const std::filesystem::path& file);
    [[nodiscard]] static Result<Catalog> parse(std::string_view yaml, const std::string& file_name);

    /// Finds by name or alias, case-insensitive; null if unknown.
    [[nodiscard]] const Entry* find(std::uint32_t kind, std::string_view name) const;
    [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

  private:
    std::vector<Entry> entries_;
};

}  // namespace flowd::core
