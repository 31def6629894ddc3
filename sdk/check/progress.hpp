// SPDX-License-Identifier: Apache-2.0
// The current call of the checked process, in shared memory, for the report after a crash or a timeout.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace flowd::check {

class Progress {
  public:
    /// [any] Names the call into the module that begins; empty: it is over.
    void enter(std::string_view call) {
        const std::size_t length = std::min(call.size(), name_.size());
        for (std::size_t i = 0; i < length; ++i) name_[i].store(call[i], std::memory_order_relaxed);
        length_.store(static_cast<std::uint32_t>(length), std::memory_order_release);
    }
    /// " in stop", or nothing.
    [[nodiscard]] std::string where() const {
        std::string text;
        const std::uint32_t length = length_.load(std::memory_order_acquire);
        for (std::uint32_t i = 0; i < length; ++i) text.push_back(name_[i].load(std::memory_order_relaxed));
        return text.empty() ? text : " in " + text;
    }

  private:
    std::array<std::atomic<char>, 48> name_{};
    std::atomic<std::uint32_t> length_{0};
};

}  // namespace flowd::check
