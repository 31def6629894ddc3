// SPDX-License-Identifier: Apache-2.0
// backends/marker/pins.hpp: maps and links of an instance that are pinned on a bpffs. One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::marker {

/// The directory PATH/INSTANCE/vN, where N is the version of the layouts in it. It is locked while this exists.
class Pins {
  public:
    /// FLOWD_BUSY if a running instance uses it, or another error.
    [[nodiscard]] static Result<Pins> open(const std::string& path, std::string_view instance);
    /// Removes the pins of the instance, unless it is running. Returns whether there were any.
    static Result<bool> discard(const std::string& path, std::string_view instance);
    /// The same for all instances. Returns their number.
    static Result<std::uint32_t> discard_all(const std::string& path);

    /// A pinned map of exactly this shape; empty if there is none, or one of another shape.
    [[nodiscard]] std::optional<UniqueFd> map(const char* name, std::uint32_t value_size, std::uint32_t entries) const;
    /// Replaces the pin of that name.
    Result<void> pin_map(const char* name, int fd) const;
    /// The path of the pin of an interface's link.
    [[nodiscard]] std::string links() const { return folder_; }

  private:
    Pins(std::string folder, UniqueFd lock) : folder_(std::move(folder)), lock_(std::move(lock)) {}
    std::string folder_;
    UniqueFd lock_;
};

}  // namespace flowd::marker
