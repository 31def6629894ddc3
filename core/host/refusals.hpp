// SPDX-License-Identifier: Apache-2.0
// The latest refused inputs of all instances, for queries. Any thread.
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
        std::string first;  ///< bytes, not necessarily text
    };
    static constexpr std::size_t kept = 256;
    static constexpr std::size_t max_reason = 64;
    static constexpr std::size_t max_text = 128;  ///< bytes of sender and of first; longer ones are truncated

    /// Whether it is [a-z][a-z0-9_]* of at most max_reason bytes.
    [[nodiscard]] static bool is_reason(std::string_view reason);

    void add(std::string_view instance, std::string_view reason, std::string_view sender, std::string_view first);
    /// Ordered by time, oldest first.
    [[nodiscard]] std::vector<Refusal> list() const;

  private:
    mutable std::mutex mutex_;
    std::array<Refusal, kept> ring_;  // the strings keep their capacity: no allocation once the ring is full
    std::uint64_t added_ = 0;
};

}  // namespace flowd::core
