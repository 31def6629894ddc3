// SPDX-License-Identifier: Apache-2.0
// lib/spool/spool.hpp: a queue of records on disk. Belongs to one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::spool {

struct Item {
    std::int64_t id = 0;  ///< ascending in the order of the queue, from 1
    std::string key;
    std::string value;
};

class Spool {
  public:
    /// Opens or creates the file; takes no longer with more records. FLOWD_BUSY: another process has it. A file that is
    /// damaged or not a spool of this version is moved aside; after any other error (a full disk, a lock, missing rights)
    /// it keeps its name.
    [[nodiscard]] static Result<std::unique_ptr<Spool>> open(const std::filesystem::path& path, std::uint64_t max_bytes);
    /// Only to look: what is not committed by its owner is not seen. Nothing is changed or locked.
    [[nodiscard]] static Result<std::unique_ptr<Spool>> look(const std::filesystem::path& path);
    Spool(const Spool&) = delete;
    Spool& operator=(const Spool&) = delete;
    /// What was not committed is dropped.
    ~Spool();

    /// After FLOWD_INVALID of commit() or read(), which have met damage: moves the file aside and creates an empty one.
    /// What was not committed is kept, and ids continue.
    Result<void> replace(const std::string& why);
    /// Where the file was moved that could not be used, and why; empty: there was none.
    [[nodiscard]] const std::string& moved_aside() const { return moved_aside_; }

    enum class Appended : std::uint8_t { yes, full, failed };
    /// At the end of the queue, with the id last() + 1. In memory until commit(), which append calls by itself before that
    /// is too much; failed: it could not.
    Appended append(std::string key, std::string value);
    /// The receiver has all up to this one. Takes effect with commit().
    void remove_through(std::int64_t id) { removed_ = std::max(removed_, id); }
    /// Before records up to `id` are handed to the receiver. Takes effect with commit().
    void note_handed(std::int64_t id) { handed_ = std::max(handed_, id); }
    /// Makes durable what was appended, removed and noted. After an error, what is not durable is kept for the next commit:
    /// all of it, or the end of what was appended. FLOWD_INVALID: the file is damaged.
    Result<void> commit();
    /// Something was appended that is not durable.
    [[nodiscard]] bool has_pending() const { return !pending_.empty(); }
    /// Whether something else than appended records has to be committed.
    [[nodiscard]] bool has_marks() const { return removed_ > removed_durable_ || handed_ > handed_durable_; }
    [[nodiscard]] bool has_uncommitted() const { return has_pending() || has_marks(); }

    /// The next durable records behind `after`, at most so many and so many bytes, but at least one if there is one.
    [[nodiscard]] Result<std::vector<Item>> read(std::int64_t after, std::size_t count, std::size_t bytes);
    [[nodiscard]] std::int64_t handed() const { return handed_; }

    // What is durable.
    [[nodiscard]] std::uint64_t records() const { return records_; }
    /// With a greater id.
    [[nodiscard]] std::uint64_t records_behind(std::int64_t id) const {
        return static_cast<std::uint64_t>(
            std::max<std::int64_t>(0, last_ - static_cast<std::int64_t>(pending_.size()) - id));
    }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] std::uint64_t written() const { return written_; }  ///< records since open()

    [[nodiscard]] bool has_room(std::uint64_t more) const { return bytes_ + pending_bytes_ + more <= max_bytes_; }
    void use(std::uint64_t max_bytes) { max_bytes_ = max_bytes; }
    [[nodiscard]] std::uint64_t max_bytes() const { return max_bytes_; }
    [[nodiscard]] std::int64_t last() const { return last_; }  ///< id of the last record; that of the one before if empty

  private:
    struct Database;  // keeps SQLite out of this header
    Spool() = default;
    Result<void> attach(bool only_look);
    /// On a full disk, nothing in the file is needed any more: replaces it by an empty one, so that there is room.
    Result<void> discard();
    /// Creates the file again, which is not there any more.
    Result<void> recreate();
    /// In one transaction, with the first `count` of what was appended.
    [[nodiscard]] bool write(std::size_t count);

    std::filesystem::path path_;
    UniqueFd lock_;
    std::unique_ptr<Database> database_;
    std::string moved_aside_;
    std::vector<Item> pending_;
    std::uint64_t pending_bytes_ = 0;
    std::uint64_t max_bytes_ = 0, records_ = 0, bytes_ = 0, written_ = 0;
    std::int64_t last_ = 0, handed_ = 0, handed_durable_ = 0, removed_ = 0, removed_durable_ = 0;
};

/// The process that has the spool; 0: none.
[[nodiscard]] int owner_of(const std::filesystem::path& path);

}  // namespace flowd::spool
