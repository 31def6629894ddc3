// SPDX-License-Identifier: Apache-2.0
// backends/marker/pins.hpp: what outlives the daemon: maps and links of one instance on a bpffs. One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::marker {

/// The folder PATH/INSTANCE/vN, where N is the version of the layouts in it. For as long as this lives it is locked.
class Pins {
  public:
    /// FLOWD_BUSY or another error when a living instance has it.
    [[nodiscard]] static Result<Pins> open(const std::string& path, std::string_view instance);
    /// Takes away what the instance has there, if anything, unless it lives. Whether there was something.
    static Result<bool> discard(const std::string& path, std::string_view instance);
    /// The same for all instances. How many there were.
    static Result<std::uint32_t> discard_all(const std::string& path);

    /// A pinned map of exactly this shape; nothing: there is none, or one of another shape.
    [[nodiscard]] std::optional<UniqueFd> map(const char* name, std::uint32_t value_size, std::uint32_t entries) const;
    /// In place of what was there under that name.
    Result<void> pin_map(const char* name, int fd) const;
    /// Where the link of an interface is pinned.
    [[nodiscard]] std::string links() const { return folder_; }

  private:
    Pins(std::string folder, UniqueFd lock) : folder_(std::move(folder)), lock_(std::move(lock)) {}
    std::string folder_;
    UniqueFd lock_;
};

}  // namespace flowd::marker
