// SPDX-License-Identifier: Apache-2.0
#include "plugins/namedpipe/pipe.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace flowd::namedpipe {
namespace {

/// What writers may leave behind while nobody reads; the most that the kernel gives everybody (fs.pipe-max-size).
constexpr int capacity = 1 << 20;
constexpr mode_t everybody = 0666;

[[nodiscard]] const char* kind_of(mode_t mode) {
    if (S_ISREG(mode)) return "a regular file";
    if (S_ISDIR(mode)) return "a folder";
    if (S_ISSOCK(mode)) return "a socket";
    return "a device";
}

[[nodiscard]] Error occupied(const std::filesystem::path& path, mode_t mode) {
    Error error{FLOWD_BUSY, path.string() + " is " + kind_of(mode) + ", not a named pipe"};
    if (S_ISREG(mode))
        error.hint = "NGINX makes a file where the pipe is missing: remove it, start flowd-cpp, then reopen NGINX's logs";
    return error;
}

[[nodiscard]] Result<void> make(const std::filesystem::path& path) {
    if (::mkfifo(path.c_str(), everybody) == 0) {
        // The umask has cut it. A writer of any user has to get in.
        if (::chmod(path.c_str(), everybody) == 0) return {};
        return Error::from_errno(errno, "cannot open " + path.string() + " to every writer");
    }
    const int number = errno;
    struct stat link {};
    if (number == EEXIST && ::lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode))
        return Error{FLOWD_NOT_FOUND, path.string() + " is a symbolic link to something that is not there",
                     "set pipePath to where the link leads"};
    if (number == EEXIST) return {};  // somebody else was quicker
    Error error = Error::from_errno(number, "cannot make the named pipe " + path.string());
    if (number == EACCES || number == EPERM || number == EROFS)
        error.hint = "let systemd make it: p " + path.string() + " 0666 root root in /etc/tmpfiles.d, or a socket unit";
    if (number == ENOENT) error.hint = "its folder does not exist";
    return error;
}

}  // namespace

Result<Pipe> Pipe::at(const std::filesystem::path& path) {
    struct stat there {};
    if (::stat(path.c_str(), &there) != 0) {
        if (errno != ENOENT) return Error::from_errno(errno, path.string());
        if (auto made = make(path); !made) return std::move(made).error();
    } else if (!S_ISFIFO(there.st_mode)) {
        return occupied(path, there.st_mode);
    }
    Pipe pipe(UniqueFd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)));
    if (!pipe.fd_) {
        const int number = errno;
        Error error = Error::from_errno(number, "cannot open the named pipe " + path.string());
        if (number == EACCES) error.hint = "its owner can let everybody write: chmod 0666 " + path.string();
        return error;
    }
    if (auto done = pipe.settle(); !done) return std::move(done).error().within(path.string());
    return pipe;
}

Result<Pipe> Pipe::adopted(UniqueFd fd) {
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0) return Error::from_errno(errno, "a descriptor that was handed over");
    Pipe pipe(std::move(fd));
    if ((flags & O_ACCMODE) != O_RDWR) {
        const std::string self = "/proc/self/fd/" + std::to_string(pipe.fd());
        pipe.fd_.reset(::open(self.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
        if (!pipe.fd_) return Error::from_errno(errno, "a named pipe that was handed over");
    } else if (::fcntl(pipe.fd(), F_SETFL, flags | O_NONBLOCK) != 0) {
        return Error::from_errno(errno, "a named pipe that was handed over");
    }
    if (auto done = pipe.settle(); !done) return std::move(done).error().within("a descriptor that was handed over");
    return pipe;
}

Result<void> Pipe::settle() {
    struct stat status {};
    if (::fstat(fd(), &status) != 0) return Error::from_errno(errno, "fstat");
    if (!S_ISFIFO(status.st_mode)) return Error{FLOWD_INVALID, "it is no named pipe"};
    device_ = status.st_dev;
    inode_ = status.st_ino;
    mode_ = status.st_mode & 07777u;
    (void)::fcntl(fd(), F_SETPIPE_SZ, capacity);  // refused where pipes are short: then it stays as it is
    return {};
}

bool Pipe::is_at(const std::filesystem::path& path) const {
    struct stat there {};
    return ::stat(path.c_str(), &there) == 0 && there.st_dev == device_ && there.st_ino == inode_;
}

std::filesystem::path resolved(const std::filesystem::path& path) {
    std::error_code error;
    auto whole = std::filesystem::canonical(path, error);
    if (!error) return whole;
    const auto folder = std::filesystem::canonical(path.parent_path(), error);
    return error ? path : folder / path.filename();
}

}  // namespace flowd::namedpipe
