// SPDX-License-Identifier: Apache-2.0
// flowd/sized.hpp: reading structs and arrays that may be older or newer than this header (flowd/abi/base.h). Pure
// functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string_view>

#include "flowd/abi/base.h"

namespace flowd {

/// A zeroed S, overwritten by the members that `source` has. `source` begins with its size; null gives a zeroed S.
template <typename S>
[[nodiscard]] S copy_sized(const void* source) {
    S copy{};
    if (source == nullptr) return copy;
    std::uint32_t size = 0;
    std::memcpy(&size, source, sizeof size);
    std::memcpy(&copy, source, std::min<std::size_t>(size, sizeof copy));
    return copy;
}

/// The elements of an array of sized structs, by its stride. Borrowed. Elements of an older, smaller struct are
/// extended with zeros; `*iterator` is valid until the iterator moves.
template <typename S>
class SizedRange {
  public:
    class Iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = S;
        using difference_type = std::ptrdiff_t;
        using pointer = const S*;
        using reference = const S&;

        Iterator() = default;
        Iterator(const std::uint8_t* at, std::size_t stride) : at_(at), stride_(stride) {}
        const S& operator*() const {
            std::uint32_t size = 0;
            std::memcpy(&size, at_, sizeof size);
            if (size >= sizeof(S)) return *reinterpret_cast<const S*>(at_);
            std::memset(static_cast<void*>(&widened_.value), 0, sizeof(S));
            std::memcpy(static_cast<void*>(&widened_.value), at_, size);
            return widened_.value;
        }
        const S* operator->() const { return &**this; }
        Iterator& operator++() {
            at_ += stride_;
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const Iterator& a, const Iterator& b) { return a.at_ == b.at_; }

      private:
        union Storage {  // not initialised until an element needs it
            Storage() {}
            Storage(const Storage&) {}
            Storage& operator=(const Storage&) { return *this; }
            S value;
        };
        const std::uint8_t* at_ = nullptr;
        std::size_t stride_ = 0;
        mutable Storage widened_;
    };

    SizedRange() = default;
    SizedRange(const S* first, std::size_t count, std::size_t stride)
        : first_(reinterpret_cast<const std::uint8_t*>(first)), count_(first == nullptr ? 0 : count), stride_(stride) {}

    [[nodiscard]] Iterator begin() const { return {first_, stride_}; }
    [[nodiscard]] Iterator end() const { return {first_ + count_ * stride_, stride_}; }
    [[nodiscard]] std::size_t size() const { return count_; }
    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] S operator[](std::size_t i) const { return copy_sized<S>(first_ + i * stride_); }

  private:
    const std::uint8_t* first_ = nullptr;
    std::size_t count_ = 0;
    std::size_t stride_ = 0;
};

/// Text and bytes to and from C. Borrowed in both directions.
[[nodiscard]] inline flowd_string to_c(std::string_view text) {
    return {text.data(), text.size()};
}
[[nodiscard]] inline std::string_view to_view(flowd_string text) {
    return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.length);
}
[[nodiscard]] inline flowd_bytes to_bytes(std::string_view bytes) {
    return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}
[[nodiscard]] inline std::string_view to_view(flowd_bytes bytes) {
    return bytes.data == nullptr ? std::string_view()
                                 : std::string_view(reinterpret_cast<const char*>(bytes.data), bytes.length);
}

}  // namespace flowd
