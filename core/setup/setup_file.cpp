// SPDX-License-Identifier: Apache-2.0
#include "core/setup/setup_file.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>

#include "core/base/files.hpp"
#include "core/base/replace_file.hpp"

namespace flowd::core {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view stamp_begin = "# setup: digest ", stamp_started = ", service started",
                           stamp_kept = ", service unchanged";

/// FNV-1a (draft-eastlake-fnv), 64 bits.
std::string digest_of_text(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    char hex[17];
    std::snprintf(hex, sizeof hex, "%016" PRIx64, hash);
    return hex;
}

Error with_remedy(Error error) {
    if (error.code == FLOWD_DENIED) error.hint = "run as root: sudo flowd-cpp setup ...";
    return error;
}

Error file_error(const std::string& what) {
    return with_remedy(Error::from_errno(errno, what));
}

Result<void> with_remedy(Result<void> done) {
    if (!done) return with_remedy(std::move(done).error());
    return done;
}

/// Whether both names are of one file: hard links.
bool is_same_file(const fs::path& one, const fs::path& other) {
    struct stat a {
    }, b{};
    return ::lstat(one.c_str(), &a) == 0 && ::lstat(other.c_str(), &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

fs::path first_free(const std::string& name) {
    fs::path path = name;
    struct stat info {};
    for (int number = 1; ::lstat(path.c_str(), &info) == 0; ++number) path = name + "." + std::to_string(number);
    return path;
}

}  // namespace

fs::path SetupFile::candidate() const {
    return file_.parent_path() / ("." + file_.filename().string() + ".setup");
}

Result<void> SetupFile::lock() {
    if (lock_) return {};
    UniqueFd fd(::open(file_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return {};  // what needs the directory says why it cannot be used
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return Error{FLOWD_BUSY, "another `flowd-cpp setup` runs in " + file_.parent_path().string(),
                     "run it again when the other one has ended"};
    lock_ = std::move(fd);
    return {};
}

bool SetupFile::exists() const {
    struct stat info {};
    return ::lstat(file_.c_str(), &info) == 0;
}

Result<std::optional<std::string>> SetupFile::read() const {
    auto text = read_file(file_);
    if (text) return std::optional(std::move(*text));
    if (text.error().code == FLOWD_NOT_FOUND) return std::optional<std::string>();
    return with_remedy(std::move(text).error());
}

std::optional<SetupFile::Stamp> SetupFile::stamp_of(std::string_view text) {
    const std::size_t at = text.find(stamp_begin);
    if (at == std::string_view::npos || at > 400) return std::nullopt;
    const std::size_t end = text.find('\n', at);
    const std::string_view line = text.substr(at + stamp_begin.size(), end - at - stamp_begin.size());
    const std::string_view body = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    return Stamp{line.substr(0, 16) == digest_of_text(body), line.ends_with(stamp_started)};
}

std::string SetupFile::stamped(std::string_view profile, std::string_view text, bool started) {
    return "# Written by `flowd-cpp setup " + std::string(profile) +
           "`; `flowd-cpp setup --remove` restores what was there.\n" + std::string(stamp_begin) + digest_of_text(text) +
           std::string(started ? stamp_started : stamp_kept) + "\n" + std::string(text);
}

Result<void> SetupFile::prepare(std::string_view text) {
    std::error_code error;
    fs::create_directories(file_.parent_path(), error);
    if (error) return Error::from_errno(error.value(), "creating " + file_.parent_path().string());
    if (auto locked = lock(); !locked) return locked;
    discard();
    auto written = write_candidate(text);
    if (!written) discard();
    return written;
}

Result<void> SetupFile::write_candidate(std::string_view text) const {
    Access access;
    if (const group* const own = ::getgrnam("flowd-cpp"); own != nullptr && ::geteuid() == 0) access.group = own->gr_gid;
    return with_remedy(write_successor(candidate(), file_, text, access));
}

Result<void> SetupFile::commit() const {
    const auto present = read();
    if (!present) return present.error();
    const auto stamp = *present ? stamp_of(**present) : std::nullopt;
    const auto kept = read_file(before());
    const bool is_kept = is_same_file(file_, before()) || (*present && kept && *kept == **present);
    if (exists() && !(stamp && stamp->intact) && !is_kept) {
        if (struct stat info{}; ::lstat(before().c_str(), &info) == 0)
            if (auto moved = with_remedy(rename_file(before(), first_free(before().string()))); !moved) return moved;
        // The original file itself, with its owner, mode, times and attributes.
        if (::link(file_.c_str(), before().c_str()) != 0)
            return file_error("keeping " + file_.string() + " as " + before().string());
    }
    return with_remedy(rename_file(candidate(), file_));
}

void SetupFile::discard() const {
    (void)::unlink(candidate().c_str());
}

void SetupFile::clean() const {
    discard();
    if (is_same_file(file_, before())) (void)::unlink(before().c_str());
}

Result<fs::path> SetupFile::restore() const {
    discard();
    const auto present = read();
    if (!present) return present.error();
    const auto stamp = *present ? stamp_of(**present) : std::nullopt;
    if (!stamp) return Error{FLOWD_NOT_FOUND, file_.string() + " was not written by setup: there is nothing to restore"};
    fs::path kept;
    if (!stamp->intact) {
        kept = first_free(file_.string() + ".after-setup");
        if (::link(file_.c_str(), kept.c_str()) != 0)
            return file_error("keeping " + file_.string() + " as " + kept.string());
    }
    if (struct stat info{}; ::lstat(before().c_str(), &info) == 0) {
        if (auto moved = with_remedy(rename_file(before(), file_)); !moved) return moved.error();
    } else {
        if (::unlink(file_.c_str()) != 0) return file_error("removing " + file_.string());
        sync_directory(file_.parent_path());
    }
    return kept;
}

}  // namespace flowd::core
