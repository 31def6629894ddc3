// SPDX-License-Identifier: Apache-2.0
#include "core/base/log_limiter.hpp"

namespace flowd::core {

namespace {

/// FNV-1a over the line without its digits.
std::uint64_t hash_of(std::string_view line) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char character : line) {
        if (character >= '0' && character <= '9') continue;
        hash = (hash ^ static_cast<unsigned char>(character)) * 0x100000001b3U;
    }
    return hash;
}

}  // namespace

LogLimiter::Verdict LogLimiter::judge(std::string_view line, Clock::time_point now) {
    const std::uint64_t hash = hash_of(line);
    const std::lock_guard lock(mutex_);
    Slot& slot = slots_[(hash >> 32) % slots_.size()];
    if (slot.hash != hash) slot = Slot{hash, now, 0, 0};
    if (now - slot.since >= window) {
        slot.since = now;
        slot.passed = 0;
    }
    if (slot.passed >= burst) {
        ++slot.suppressed;
        return {false, 0};
    }
    ++slot.passed;
    const std::uint64_t suppressed = slot.suppressed;
    slot.suppressed = 0;
    return {true, suppressed};
}

}  // namespace flowd::core
