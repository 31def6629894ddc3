// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/ownership.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>
#include <utility>

namespace flowd::bpf {
namespace {

struct flock one_byte(std::uint32_t offset) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = static_cast<off_t>(offset);
    lock.l_len = 1;
    return lock;
}

Error with_remedy(const std::string& file, const std::string& why) {
    return {FLOWD_DENIED, file + ", which distinguishes the tc filters of live instances from leftovers: " + why,
            "its directory must be writable for root and the daemon's user only (RuntimeDirectory=flowd-cpp "
            "in the unit)"};
}

constexpr std::chrono::milliseconds try_period{10};

/// F_OFD_GETLK does not tell the process.
Error held(const std::string& file) {
    const std::string byte = std::to_string(Ownership::qdisc_byte);
    return {FLOWD_BUSY, file + ": another instance has locked the clsact qdiscs and does not go on",
            "it may be suspended: `grep -l ' " + byte + " " + byte +
                "$' /proc/[0-9]*/fdinfo/*` as root finds the process; continue it (kill -CONT) or end it (kill -9)"};
}

/// Every process that can open the file can lock it: only root and the owner of the directory may.
Result<UniqueFd> open_file(const std::string& file) {
    const std::string folder = std::filesystem::path(file).parent_path();
    if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST)
        return with_remedy(file, Error::from_errno(errno, "making " + folder).message);
    struct stat of_folder {};
    if (::stat(folder.c_str(), &of_folder) != 0) return with_remedy(file, Error::from_errno(errno, folder).message);
    if ((of_folder.st_mode & (S_IWGRP | S_IWOTH)) != 0) return with_remedy(file, folder + " is writable for other users");
    UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return with_remedy(file, Error::from_errno(errno, "opening it").message);
    struct stat of_file {};
    if (::fstat(fd.get(), &of_file) != 0) return with_remedy(file, Error::from_errno(errno, "fstat").message);
    if (!S_ISREG(of_file.st_mode) || (of_file.st_mode & 0077) != 0)
        return with_remedy(file, "it is accessible to other users");
    // Created by root in the directory of the service: the service must be able to open it, too.
    if (of_file.st_uid != of_folder.st_uid && ::geteuid() == 0)
        (void)::fchown(fd.get(), of_folder.st_uid, of_folder.st_gid);
    return fd;
}

}  // namespace

Result<Ownership> Ownership::claim(const std::string& file) {
    auto fd = open_file(file);
    if (!fd) return std::move(fd).error();
    for (;;) {
        std::uint32_t byte = 0;
        if (::getrandom(&byte, sizeof byte, 0) != sizeof byte)
            return Error::from_errno(errno, "drawing a tc filter handle");
        byte &= byte_mask;
        struct flock lock = one_byte(byte);
        if (::fcntl(fd->get(), F_OFD_SETLK, &lock) == 0) return Ownership(byte, *std::move(fd));
        if (errno != EAGAIN && errno != EACCES) return with_remedy(file, Error::from_errno(errno, "locking it").message);
    }
}

Result<UniqueFd> Ownership::lock_qdiscs(std::chrono::milliseconds patience, const std::string& file) {
    auto fd = open_file(file);
    if (!fd) return fd;
    struct flock lock = one_byte(qdisc_byte);
    const auto end = std::chrono::steady_clock::now() + patience;
    while (::fcntl(fd->get(), F_OFD_SETLK, &lock) != 0) {  // F_OFD_SETLKW would wait without a limit
        if (errno != EAGAIN && errno != EACCES) return with_remedy(file, Error::from_errno(errno, "locking it").message);
        if (std::chrono::steady_clock::now() >= end) return held(file);
        std::this_thread::sleep_for(try_period);
    }
    return fd;
}

bool Ownership::is_alive(std::uint32_t handle, const std::string& file) {
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd && errno == ENOENT) return false;
    struct flock lock = one_byte(handle & byte_mask);
    // In doubt the owner is assumed to be alive: a leftover can be removed later, a live filter must not be removed.
    return !fd || ::fcntl(fd.get(), F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

}  // namespace flowd::bpf
