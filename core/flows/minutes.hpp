// SPDX-License-Identifier: Apache-2.0
// core/flows/minutes.hpp: sums per minute by tag and orientation, for the last 24 hours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "flowd/abi/ext/history.h"

namespace flowd::core {

struct MinuteSum {
    flowd_tag tag{};
    std::uint8_t local = 0;  ///< FLOWD_LOCAL_*
    std::uint64_t started = 0;
    std::uint64_t ended = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
};

/// Sums of one period; not thread-safe. At most max_rows tags and orientations; what exceeds them is added to
/// FLOWD_TAG_OTHER.
class MinuteSums {
  public:
    static constexpr std::size_t max_rows = 64;

    void reserve() { rows_.reserve(max_rows); }  ///< then row() does not allocate
    [[nodiscard]] MinuteSum& row(flowd_tag tag, std::uint8_t local);
    void add(const std::vector<MinuteSum>& rows);
    [[nodiscard]] const std::vector<MinuteSum>& rows() const { return rows_; }
    void clear() { rows_.clear(); }

  private:
    std::vector<MinuteSum> rows_;
};

/// Any thread.
class Minutes {
  public:
    static constexpr std::int64_t kept = 24 * 60;

    /// A minute is counted from 1970-01-01.
    void add(std::int64_t minute, const std::vector<MinuteSum>& rows);
    /// add() of what has just happened: the listener receives it, too.
    void count(std::int64_t minute, const std::vector<MinuteSum>& rows);
    /// Called without a lock, by any thread that counts. Set it before the first count().
    void on_count(std::function<void(const std::vector<MinuteSum>& rows)> listener) { listener_ = std::move(listener); }
    using Visitor = std::function<bool(std::int64_t minute, const MinuteSum& sum)>;
    /// From this minute on, the oldest first, until `visitor` returns false. Called without a lock.
    void visit(std::int64_t from, const Visitor& visitor) const;
    /// Increases with every change.
    [[nodiscard]] std::uint64_t changes() const;

  private:
    mutable std::mutex mutex_;
    std::map<std::int64_t, MinuteSums> minutes_;
    std::uint64_t changes_ = 0;
    std::function<void(const std::vector<MinuteSum>& rows)> listener_;
};

}  // namespace flowd::core
