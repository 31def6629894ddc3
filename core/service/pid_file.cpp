// SPDX-License-Identifier: Apache-2.0
#include "core/service/pid_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace flowd::core {

namespace {

bool is_full(int number) {
    return number == ENOSPC || number == EDQUOT || number == EFBIG;
}

Error no_room(const std::filesystem::path& path, int number) {
    return Error{FLOWD_LIMIT, path.string() + " cannot be written: " + std::strerror(number)};
}

}  // namespace

Result<PidFile> PidFile::write(const std::filesystem::path& path) {
    std::error_code ignored;
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!fd) return is_full(errno) ? no_room(path, errno) : Error::from_errno(errno, path.string());
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        std::array<char, 32> text{};
        const ssize_t length = ::read(fd.get(), text.data(), text.size() - 1);
        std::string owner(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
        while (!owner.empty() && owner.back() == '\n') owner.pop_back();
        return Error{FLOWD_BUSY, path.string() + ": another daemon runs with this pidPath, process " + owner,
                     "stop it, or give this one another pidPath"};
    }
    const std::string text = std::to_string(::getpid()) + "\n";
    if (::ftruncate(fd.get(), 0) != 0 || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        const int number = errno;
        (void)::unlink(path.c_str());  // an empty file would be misleading; this process owns it by the lock
        return is_full(number) ? no_room(path, number) : Error::from_errno(number, path.string());
    }
    return PidFile(path, std::move(fd));
}

PidFile::~PidFile() {
    if (fd_) (void)::unlink(path_.c_str());
}

}  // namespace flowd::core
