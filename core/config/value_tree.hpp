// SPDX-License-Identifier: Apache-2.0
// Owns the flowd_value tree that modules receive. Built by one thread, then immutable.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/problem.hpp"
#include "flowd/abi/option.h"
#include "flowd/sized.hpp"

namespace flowd::core {

/// The values, their text, and their locations. Movable: addresses in the tree stay valid.
class ValueTree {
  public:
    ValueTree();

    [[nodiscard]] flowd_value& root() { return storage_->root; }
    [[nodiscard]] const flowd_value& root() const { return storage_->root; }

    /// Copies text into the tree, NUL-terminated.
    [[nodiscard]] flowd_string keep(std::string_view text);
    /// `count` zeroed values of the current struct size, as the items of `parent`.
    flowd_value* add_items(flowd_value& parent, std::size_t count);

    void remember(std::string path, Location where);
    /// The location of this path, or of the nearest enclosing one that has a location.
    [[nodiscard]] const Location& location_of(std::string_view path) const;

    /// Records that `value` was read from this file.
    void remember_file(const flowd_value& value, std::string file) { storage_->files[&value] = std::move(file); }
    /// The file of the value; empty if the value is in the configuration itself.
    [[nodiscard]] std::string_view file_of(const flowd_value& value) const;

  private:
    struct Storage {
        flowd_value root{};
        std::deque<std::string> texts;
        std::deque<std::vector<flowd_value>> arrays;
        std::map<std::string, Location, std::less<>> places;
        std::map<const flowd_value*, std::string> files;
        Location nowhere;
    };
    std::unique_ptr<Storage> storage_;
};

/// The flags of a present value.
[[nodiscard]] constexpr std::uint32_t present(bool written) {
    return static_cast<std::uint32_t>(FLOWD_VALUE_PRESENT) |
           (written ? static_cast<std::uint32_t>(FLOWD_VALUE_WRITTEN) : 0u);
}
[[nodiscard]] inline bool is_present(const flowd_value& value) {
    return (value.flags & FLOWD_VALUE_PRESENT) != 0;
}

/// Deep comparison of the values; FLOWD_VALUE_WRITTEN is ignored.
[[nodiscard]] bool same_value(const flowd_value& a, const flowd_value& b);

/// An item by index; uses the stride. Null if the index is out of range.
[[nodiscard]] inline const flowd_value* item_at(const flowd_value& value, std::size_t index) {
    if (index >= value.item_count) return nullptr;
    return reinterpret_cast<const flowd_value*>(reinterpret_cast<const char*>(value.items) + index * value.item_stride);
}
/// The text of an item that exists.
[[nodiscard]] inline std::string text_at(const flowd_value& value, std::size_t index) {
    return std::string(to_view(item_at(value, index)->text));
}

}  // namespace flowd::core
