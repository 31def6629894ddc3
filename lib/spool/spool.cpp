// SPDX-License-Identifier: Apache-2.0
#include "lib/spool/spool.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <utility>

namespace flowd::spool {
namespace {

constexpr std::int64_t application_id = 0x666c7764;  // "flwd"
constexpr std::int64_t version = 2;
constexpr std::uint64_t overhead = 64;  ///< of one record
constexpr std::uint64_t most_in_memory = std::uint64_t{8} << 20;
constexpr std::uintmax_t most_when_empty = std::uintmax_t{16} << 20;  ///< size of a file without records

[[nodiscard]] std::uint64_t size_of(std::size_t key, std::size_t value) {
    return key + value + overhead;
}

/// Of the open file description, so that two instances of one process exclude each other.
[[nodiscard]] struct flock whole_file() {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return lock;
}

/// Of a spool that replace() could not replace: it may be tried again.
[[nodiscard]] Error not_open() {
    return {FLOWD_INVALID, "the file is not open"};
}

/// SQLite follows symbolic links, and creates files that every user can read.
[[nodiscard]] Result<void> create_file(const std::filesystem::path& path) {
    const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!file && (errno == ELOOP || errno == EISDIR || errno == ENXIO)) return Error{FLOWD_ERROR, "is not a regular file"};
    if (!file) return Error::from_errno(errno, "cannot be opened");
    struct stat facts {};
    if (::fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return Error{FLOWD_ERROR, "is not a regular file"};
    return {};
}

/// PATH.aside-TIME, with a number if there is such a file.
[[nodiscard]] std::string aside_of(const std::filesystem::path& path) {
    std::array<char, 32> now{};
    const std::time_t seconds = std::time(nullptr);
    std::tm parts{};
    (void)std::strftime(now.data(), now.size(), "%Y%m%dT%H%M%S", ::gmtime_r(&seconds, &parts));
    const std::string name = path.string() + ".aside-" + now.data();
    std::string free = name;
    std::error_code error;
    for (int number = 2; std::filesystem::exists(free, error); ++number) free = name + "-" + std::to_string(number);
    return free;
}

}  // namespace

struct Spool::Database {
    struct Deleter {
        void operator()(sqlite3* database) const { sqlite3_close(database); }
        void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
    };
    using Statement = std::unique_ptr<sqlite3_stmt, Deleter>;

    std::unique_ptr<sqlite3, Deleter> handle;
    Statement insert, select, remove, sum, note;

    [[nodiscard]] bool run(const char* sql) const {
        return sqlite3_exec(handle.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK;
    }
    [[nodiscard]] Statement prepare(const char* sql) const {
        sqlite3_stmt* statement = nullptr;
        (void)sqlite3_prepare_v2(handle.get(), sql, -1, &statement, nullptr);
        return Statement(statement);
    }
    /// The first column of the first row, as a number.
    [[nodiscard]] std::int64_t number(const char* sql) const {
        const auto statement = prepare(sql);
        return statement && sqlite3_step(statement.get()) == SQLITE_ROW ? sqlite3_column_int64(statement.get(), 0) : -1;
    }
    /// Whether the last error lies in the file. All others may pass: a full disk, a lock, missing rights.
    [[nodiscard]] bool is_fault_of_file() const {
        const int code = sqlite3_errcode(handle.get());
        return code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR;
    }
    [[nodiscard]] Error failure(const char* what) const {
        return {is_fault_of_file() ? FLOWD_INVALID : FLOWD_ERROR, std::string(what) + sqlite3_errmsg(handle.get())};
    }
    /// FLOWD_INVALID: this file is not a spool of this version. A new file becomes one.
    [[nodiscard]] Result<void> judge(bool only_look) const {
        if (!run("SELECT 1 FROM sqlite_master")) return failure(is_fault_of_file() ? "is damaged: " : "cannot be read: ");
        const std::int64_t owner = number("PRAGMA application_id"), found = number("PRAGMA user_version");
        if (owner == 0 && found == 0 && number("SELECT count(*) FROM sqlite_master") == 0 && !only_look) return {};
        if (owner != application_id) return Error{FLOWD_INVALID, "is a database of another program"};
        if (found != version)
            return Error{FLOWD_INVALID, "has version " + std::to_string(found) + ", not " + std::to_string(version)};
        return {};
    }
    /// A spool whose tables are not those of its version fails here.
    [[nodiscard]] bool ready(bool only_look) {
        if (!only_look &&
            // Larger pages take a fifth less CPU per record; the log keeps its usual size. secure_delete, which Debian
            // switches on, writes each removed record once more, as zeros.
            !run("PRAGMA page_size=16384; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=250; PRAGMA synchronous=FULL;"
                 "PRAGMA secure_delete=OFF; PRAGMA application_id=1718384484;"
                 "BEGIN; CREATE TABLE IF NOT EXISTS records(id INTEGER PRIMARY KEY, key BLOB, value BLOB);"
                 "CREATE TABLE IF NOT EXISTS state(name TEXT PRIMARY KEY, value INTEGER);"
                 "INSERT OR IGNORE INTO state VALUES('handed', 0), ('bytes', 0); PRAGMA user_version=2; COMMIT"))
            return false;
        insert = prepare("INSERT INTO records VALUES(?1, ?2, ?3)");
        select = prepare("SELECT id, key, value FROM records WHERE id > ?1 ORDER BY id LIMIT ?2");
        remove = prepare("DELETE FROM records WHERE id <= ?1");
        sum = prepare("SELECT count(*), sum(length(key) + length(value)) FROM records WHERE id <= ?1");
        note = prepare("UPDATE state SET value = iif(name = 'handed', ?1, ?2)");
        return insert && select && remove && sum && note;
    }
};

Spool::~Spool() = default;

Result<std::unique_ptr<Spool>> Spool::open(const std::filesystem::path& path, std::uint64_t max_bytes) {
    std::unique_ptr<Spool> spool(new Spool);
    spool->max_bytes_ = max_bytes;
    const std::string lock = path.string() + ".lock";
    spool->lock_.reset(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!spool->lock_) return Error::from_errno(errno, "cannot open " + lock);
    struct flock wanted = whole_file();
    if (::fcntl(spool->lock_.get(), F_OFD_SETLK, &wanted) != 0) {
        if (errno != EAGAIN && errno != EACCES) return Error::from_errno(errno, "cannot lock " + lock);
        return Error{FLOWD_BUSY, "another process uses the spool " + path.string(), "give each instance a path of its own"};
    }
    const std::string owner = std::to_string(::getpid()) + "\n";
    if (::ftruncate(spool->lock_.get(), 0) != 0 ||
        ::pwrite(spool->lock_.get(), owner.data(), owner.size(), 0) != static_cast<ssize_t>(owner.size()))
        return Error::from_errno(errno, "cannot write " + lock);
    spool->path_ = path;
    auto attached = spool->attach(false);
    if (!attached && attached.error().code == FLOWD_INVALID) attached = spool->replace(attached.error().message);
    if (!attached) return Error{FLOWD_ERROR, "the spool " + path.string() + " " + attached.error().message};
    return spool;
}

Result<void> Spool::replace(const std::string& why) {
    // The records of the old file may still be read by hand.
    const std::string aside = aside_of(path_);
    database_.reset();
    std::error_code error;
    for (const char* suffix : {"-wal", "-shm", ""}) {
        if (!std::filesystem::exists(path_.string() + suffix, error)) continue;
        std::filesystem::rename(path_.string() + suffix, aside + suffix, error);
        if (error) return Error{FLOWD_ERROR, why + "; it cannot be renamed: " + error.message()};
    }
    moved_aside_ = path_.string() + " " + why + "; it was renamed to " + aside;
    return recreate();
}

Result<void> Spool::recreate() {
    const std::int64_t last = last_, handed = handed_;
    if (auto attached = attach(false); !attached) {
        database_.reset();
        return attached;
    }
    last_ = last;
    handed_ = handed;
    removed_durable_ = removed_;
    return {};
}

Result<std::unique_ptr<Spool>> Spool::look(const std::filesystem::path& path) {
    std::unique_ptr<Spool> spool(new Spool);
    spool->path_ = path;
    if (auto attached = spool->attach(true); !attached) return std::move(attached).error();
    return spool;
}

Result<void> Spool::attach(bool only_look) {
    if (!only_look)
        if (auto created = create_file(path_); !created) return created;
    database_ = std::make_unique<Database>();
    sqlite3* handle = nullptr;
    const int flags = (only_look ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_NOMUTEX;
    const int opened = sqlite3_open_v2(path_.c_str(), &handle, flags, nullptr);
    database_->handle.reset(handle);
    if (opened != SQLITE_OK) return Error{FLOWD_ERROR, std::string("cannot be opened: ") + sqlite3_errstr(opened)};
    if (auto judged = database_->judge(only_look); !judged) return judged;
    if (!database_->ready(only_look)) return database_->failure("cannot be used: ");
    // Nothing here takes longer with more records: ids have no gaps, and the size is kept.
    const std::int64_t first = database_->number("SELECT coalesce(min(id), 0) FROM records"),
                       last = database_->number("SELECT coalesce(max(id), 0) FROM records"),
                       bytes = database_->number("SELECT value FROM state WHERE name = 'bytes'");
    handed_ = handed_durable_ = database_->number("SELECT value FROM state WHERE name = 'handed'");
    if (first < 0 || last < first || bytes < 0 || handed_ < 0) return Error{FLOWD_INVALID, "is damaged"};
    records_ = last == 0 ? 0 : static_cast<std::uint64_t>(last - first + 1);
    bytes_ = static_cast<std::uint64_t>(bytes);
    last_ = std::max(last, handed_);
    return {};
}

Spool::Appended Spool::append(std::string key, std::string value) {
    const std::uint64_t more = size_of(key.size(), value.size());
    if (!has_room(more)) return Appended::full;
    if (pending_bytes_ + more > most_in_memory && !commit()) return Appended::failed;
    pending_.push_back({++last_, std::move(key), std::move(value)});
    pending_bytes_ += more;
    return Appended::yes;
}

bool Spool::write(std::size_t count) {
    const auto step = [](sqlite3_stmt* statement) {
        const int done = sqlite3_step(statement);
        (void)sqlite3_reset(statement);
        return done == SQLITE_DONE;
    };
    if (!database_->run("BEGIN IMMEDIATE")) return false;
    sqlite3_stmt* const insert = database_->insert.get();
    std::uint64_t records = records_ + count, bytes = bytes_, more = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const Item& item = pending_[i];
        (void)sqlite3_bind_int64(insert, 1, item.id);
        (void)sqlite3_bind_blob64(insert, 2, item.key.data(), item.key.size(), SQLITE_STATIC);
        (void)sqlite3_bind_blob64(insert, 3, item.value.data(), item.value.size(), SQLITE_STATIC);
        if (!step(insert)) return false;
        more += size_of(item.key.size(), item.value.size());
    }
    (void)sqlite3_clear_bindings(insert);
    bytes += more;
    if (removed_ > removed_durable_) {
        sqlite3_stmt* const sum = database_->sum.get();
        (void)sqlite3_bind_int64(sum, 1, removed_);
        const int found = sqlite3_step(sum);
        const auto gone = static_cast<std::uint64_t>(sqlite3_column_int64(sum, 0));
        const auto size = static_cast<std::uint64_t>(sqlite3_column_int64(sum, 1)) + gone * overhead;
        (void)sqlite3_reset(sum);
        (void)sqlite3_bind_int64(database_->remove.get(), 1, removed_);
        if (found != SQLITE_ROW || !step(database_->remove.get())) return false;
        records -= std::min(records, gone);
        bytes -= std::min(bytes, size);
    }
    (void)sqlite3_bind_int64(database_->note.get(), 1, handed_);
    (void)sqlite3_bind_int64(database_->note.get(), 2, static_cast<std::int64_t>(bytes));
    if (!step(database_->note.get()) || !database_->run("COMMIT")) return false;
    records_ = records;
    bytes_ = bytes;
    written_ += count;
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(count));
    pending_bytes_ -= more;
    removed_durable_ = removed_;
    handed_durable_ = handed_;
    return true;
}

Result<void> Spool::commit() {
    if (!has_uncommitted()) return {};
    if (!database_) return not_open();
    Error first{FLOWD_ERROR, ""};
    // A full disk may have room for a part: without one, records could not be removed either.
    for (std::size_t count = pending_.size();; count /= 8) {
        if (write(count)) break;
        const Error error = database_->failure("");
        if (first.message.empty()) first = error;
        // SQLite has rolled back by itself after some errors.
        if (sqlite3_get_autocommit(database_->handle.get()) == 0) (void)database_->run("ROLLBACK");
        if (error.code == FLOWD_INVALID) return error;
        if (count != 0) continue;
        if (records_ == 0 || records_behind(removed_) != 0) return error;
        return discard();
    }
    if (!pending_.empty()) return first;
    std::error_code error;
    const std::uintmax_t size = records_ == 0 ? std::filesystem::file_size(path_, error) : 0;
    // What was committed is durable, whether or not this works; a later commit tries again.
    if (!error && size > most_when_empty) (void)database_->run("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
    return {};
}

Result<void> Spool::discard() {
    database_.reset();
    std::error_code ignored;
    for (const char* suffix : {"-wal", "-shm", ""}) std::filesystem::remove(path_.string() + suffix, ignored);
    if (auto recreated = recreate(); !recreated) return recreated;
    return commit();
}

Result<std::vector<Item>> Spool::read(std::int64_t after, std::size_t count, std::size_t bytes) {
    if (!database_) return not_open();
    std::vector<Item> items;
    sqlite3_stmt* const select = database_->select.get();
    (void)sqlite3_bind_int64(select, 1, after);
    (void)sqlite3_bind_int64(select, 2, static_cast<std::int64_t>(count));
    const auto text = [select](int column) {
        const auto* const data = static_cast<const char*>(sqlite3_column_blob(select, column));
        return data == nullptr ? std::string()
                               : std::string(data, static_cast<std::size_t>(sqlite3_column_bytes(select, column)));
    };
    std::size_t size = 0;
    int step = SQLITE_ROW;
    while ((items.empty() || size < bytes) && (step = sqlite3_step(select)) == SQLITE_ROW) {
        items.push_back({sqlite3_column_int64(select, 0), text(1), text(2)});
        size += items.back().key.size() + items.back().value.size();
    }
    const bool good = step == SQLITE_ROW || step == SQLITE_DONE;
    Error error = database_->failure("");
    (void)sqlite3_reset(select);
    // What is before the damage can be used; the next call meets it again.
    if (!good && items.empty()) return error;
    return items;
}

int owner_of(const std::filesystem::path& path) {
    const UniqueFd lock(::open((path.string() + ".lock").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct flock present = whole_file();
    if (!lock || ::fcntl(lock.get(), F_OFD_GETLK, &present) != 0 || present.l_type == F_UNLCK) return 0;
    std::array<char, 16> text{};
    const ssize_t length = ::pread(lock.get(), text.data(), text.size() - 1, 0);
    int owner = 0;
    if (length > 0) (void)std::from_chars(text.data(), text.data() + length, owner);
    return owner;
}

}  // namespace flowd::spool
