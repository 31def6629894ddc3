// SPDX-License-Identifier: Apache-2.0
#include "core/base/replace_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include "flowd/unique_fd.hpp"

namespace flowd::core {
namespace fs = std::filesystem;
namespace {

/// Returns false with errno set.
bool give_access(int fd, const fs::path& file, const Access& access) {
    struct stat old {};
    const bool exists = ::stat(file.c_str(), &old) == 0;
    const auto same_owner = static_cast<uid_t>(-1);
    if (exists && ::fchown(fd, old.st_uid, old.st_gid) != 0) {
        // Without the right to set the owner, the group is kept at least, if this user is in it.
        if (errno != EPERM) return false;
        if (::fchown(fd, same_owner, old.st_gid) != 0 && errno != EPERM) return false;
    }
    if (!exists && access.group && ::fchown(fd, same_owner, *access.group) != 0) return false;
    return ::fchmod(fd, exists ? old.st_mode & 07777 : access.mode) == 0;
}

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno != EINTR) return false;
        if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
    }
    return ::fsync(fd) == 0;
}

}  // namespace

void sync_directory(const fs::path& directory) {
    const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd) (void)::fsync(fd.get());
}

Result<void> rename_file(const fs::path& from, const fs::path& to) {
    if (::rename(from.c_str(), to.c_str()) != 0)
        return Error::from_errno(errno, "renaming " + from.string() + " to " + to.string());
    sync_directory(to.parent_path());
    return {};
}

Result<void> write_successor(const fs::path& successor, const fs::path& file, std::string_view text, const Access& access) {
    const UniqueFd fd(::open(successor.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd || !give_access(fd.get(), file, access) || !write_all(fd.get(), text))
        return Error::from_errno(errno, "writing " + successor.string());
    return {};
}

Result<void> replace_file(const fs::path& file, std::string_view text, const Access& access) {
    std::string successor = file.string() + ".XXXXXX";  // a name of its own: another process may replace the same file
    const UniqueFd fd(::mkostemp(successor.data(), O_CLOEXEC));
    if (!fd) return Error::from_errno(errno, "writing " + file.string());
    if (give_access(fd.get(), file, access) && write_all(fd.get(), text) &&
        ::rename(successor.c_str(), file.c_str()) == 0) {
        sync_directory(file.parent_path());
        return {};
    }
    Error error = Error::from_errno(errno, "writing " + file.string());
    (void)::unlink(successor.c_str());
    return error;
}

}  // namespace flowd::core
