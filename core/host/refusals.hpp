// SPDX-License-Identifier: Apache-2.0
// The latest inputs that instances refused, for queries. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace flowd::core {

class Refusals {
  public:
    struct Refusal {
        std::int64_t time_ns = 0;  ///< Unix time
        std::string instance;      ///< "plugin fireflyp/regional"
        std::string reason;
        std::string sender;
        std::string first;  ///< bytes, not text
    };
    static constexpr std::size_t kept = 256;
    static constexpr std::size_t max_reason = 64;
    static constexpr std::size_t max_text = 128;  ///< of sender and of first, bytes; the rest is cut off

    /// [a-z][a-z0-9_]*, at most max_reason bytes.
    [[nodiscard]] static bool is_reason(std::string_view reason);

    void add(std::string_view instance, std::string_view reason, std::string_view sender, std::string_view first);
    /// The oldest first.
    [[nodiscard]] std::vector<Refusal> list() const;

  private:
    mutable std::mutex mutex_;
    std::array<Refusal, kept> ring_;  // its strings keep their memory: adding does not allocate once it is full
    std::uint64_t added_ = 0;
};

}  // namespace flowd::core
