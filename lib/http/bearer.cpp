// SPDX-License-Identifier: Apache-2.0
#include "lib/http/bearer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "flowd/unique_fd.hpp"
#include "lib/text/words.hpp"

namespace flowd::http {
namespace {

constexpr std::size_t shortest = 16, longest = 512;
constexpr std::string_view scheme = "bearer ";

[[nodiscard]] bool same_file(const struct stat& a, const struct stat& b) {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_mode == b.st_mode &&
           a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

[[nodiscard]] bool same_in_constant_time(std::string_view a, std::string_view b) {
    unsigned difference = a.size() == b.size() ? 0u : 1u;
    for (std::size_t i = 0; i < a.size() && !b.empty(); ++i)
        difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i % b.size()]);
    const volatile unsigned result = difference;  // the loop must not end early
    return result == 0;
}

}  // namespace

Result<Bearer> Bearer::from_file(const std::filesystem::path& path) {
    Bearer bearer(path);
    if (auto done = bearer.read(); !done) return std::move(done).error();
    return bearer;
}

Result<void> Bearer::read() {
    const UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return Error::from_errno(errno, path_.string());
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return Error::from_errno(errno, path_.string());
    if (!S_ISREG(status.st_mode)) return Error{FLOWD_INVALID, path_.string() + " is no file"};
    if ((status.st_mode & 0007u) != 0)
        return Error{FLOWD_DENIED, path_.string() + " is open to everybody, so its token is no secret",
                     "chmod 0640 " + path_.string()};
    std::array<char, longest + 3> buffer{};
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0) return Error::from_errno(errno, path_.string());
    std::string_view text(buffer.data(), static_cast<std::size_t>(got));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
    const bool visible = std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
    if (text.size() < shortest || text.size() > longest || !visible)
        return Error{FLOWD_INVALID, path_.string() + " holds no token: one line of 16 to 512 visible characters",
                     "make one: openssl rand -hex 32"};
    token_ = text;
    seen_ = status;
    return {};
}

Result<void> Bearer::refresh() {
    struct stat status {};
    if (::stat(path_.c_str(), &status) == 0 && same_file(status, seen_)) return {};
    return read();
}

bool Bearer::allows(std::string_view authorization) const {
    if (!text::same_word(authorization.substr(0, scheme.size()), scheme)) return false;
    authorization.remove_prefix(scheme.size());
    while (!authorization.empty() && authorization.front() == ' ') authorization.remove_prefix(1);
    return same_in_constant_time(authorization, token_);
}

}  // namespace flowd::http
