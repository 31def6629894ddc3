// SPDX-License-Identifier: Apache-2.0
#include "core/config/value_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/text.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

Result<std::string> read_value_file(const std::filesystem::path& file, bool secret) {
    const std::string name = file.string();
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return Error::from_errno(errno, name);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, name);
    if (!S_ISREG(status.st_mode)) return Error{FLOWD_INVALID, name + " is not a regular file", "name a file"};
    if (secret && (status.st_mode & S_IROTH) != 0)
        return Error{FLOWD_INVALID, name + " is world-readable, so its content is not secret", "chmod 0640 " + name};
    std::array<char, max_value_file + 1> buffer{};
    std::size_t length = 0;
    while (length < buffer.size()) {
        const ssize_t got = ::read(fd.get(), buffer.data() + length, buffer.size() - length);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return Error::from_errno(errno, name);
        if (got == 0) break;
        length += static_cast<std::size_t>(got);
    }
    if (length > max_value_file) return Error{FLOWD_INVALID, name + " is larger than 4 KiB", "write one line to it"};
    std::string_view line(buffer.data(), length);
    line = line.substr(0, line.find('\n'));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) return Error{FLOWD_INVALID, "the first line of " + name + " is empty", "write the value to it"};
    if (!is_utf8(line) || line.find('\0') != std::string_view::npos)
        return Error{FLOWD_INVALID, "the first line of " + name + " is not text", "write UTF-8 without NUL to it"};
    return std::string(line);
}

}  // namespace flowd::core
