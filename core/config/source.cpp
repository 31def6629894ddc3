// SPDX-License-Identifier: Apache-2.0
#include "core/config/source.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>

#include "flowd/unique_fd.hpp"

namespace flowd::core {
namespace fs = std::filesystem;

namespace {

constexpr std::size_t max_file_bytes = 4u << 20;

/// Problems that persist until the file is changed: another start would fail as well.
Problem::Category category_of(const Error& error) {
    const bool lasting = error.code == FLOWD_INVALID || error.code == FLOWD_LIMIT;
    return lasting ? Problem::Category::configuration : Problem::Category::system;
}

void add_file_problem(Problems& problems, const fs::path& file, const Error& error, Problem::Category category) {
    Problem problem;
    problem.result = error.code;
    problem.category = category;
    problem.where = {file.string(), 0, 0};
    problem.message = error.message;
    problem.hint = error.hint;
    problems.add(std::move(problem));
}

Error with_hint(Error error) {
    error.hint = error.code == FLOWD_NOT_FOUND ? "name another file with --conf" : "run as root or as the daemon's user";
    return error;
}

/// An error of the trust check. Where it begins with the path, the problem has that already.
Error without_path(Error error, const fs::path& path) {
    const std::string prefix = path.string() + ": ";
    if (!error.message.starts_with(prefix)) return error;
    error.message = "can't be read: " + error.message.substr(prefix.size());
    return error.hint.empty() ? with_hint(std::move(error)) : error;
}

Result<std::string> read_file(const fs::path& file, bool& is_public) {
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return with_hint(Error::from_errno(errno, "can't be read"));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return Error::from_errno(errno, "can't be read");
    if (!S_ISREG(info.st_mode)) return Error{FLOWD_INVALID, "not a regular file"};
    is_public = (info.st_mode & S_IROTH) != 0;
    std::string text;
    std::array<char, 16384> buffer{};
    for (;;) {
        const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
        if (got == 0) return text;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return Error::from_errno(errno, "can't be read");
        text.append(buffer.data(), static_cast<std::size_t>(got));
        if (text.size() > max_file_bytes)
            return Error{FLOWD_LIMIT, "larger than 4 MiB", "split it, or remove what does not belong in it"};
    }
}

bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/// The drop-ins, in the order of their names. Reports files that look like drop-ins but are not read.
std::vector<fs::path> drop_ins(const fs::path& directory, Problems& problems) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (name.front() == '.') continue;
        if (ends_with(name, ".yaml")) files.push_back(entry->path());
        if (ends_with(name, ".yml")) {
            Problem problem;
            problem.level = FLOWD_LEVEL_WARNING;
            problem.where = {entry->path().string(), 0, 0};
            problem.message = "not read: its name does not end in .yaml";
            problem.hint = "rename it";
            problems.add(std::move(problem));
        }
    }
    if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
        add_file_problem(problems, directory, Error::from_errno(error.value(), "can't be listed"),
                         error == std::errc::too_many_symbolic_link_levels ? Problem::Category::configuration
                                                                           : Problem::Category::system);
    std::sort(files.begin(), files.end());
    return files;
}

std::vector<fs::path> all_files(const fs::path& file, Problems& problems) {
    std::vector<fs::path> files{file};
    for (fs::path& drop_in : drop_ins(file.parent_path() / "conf.d", problems)) files.push_back(std::move(drop_in));
    return files;
}

std::size_t digest_of(std::string_view text) {
    return std::hash<std::string_view>()(text);
}

}  // namespace

std::vector<SourceFile> files_of_source(const fs::path& file) {
    Problems ignored;
    std::vector<SourceFile> files;
    for (const fs::path& path : all_files(file, ignored)) {
        bool is_public = false;
        if (const auto text = read_file(path, is_public)) files.push_back({path.string(), digest_of(*text)});
    }
    return files;
}

std::optional<Source> read_source(const fs::path& file, const Binder::Trust& trust, Problems& problems) {
    Source source;
    bool good = true;
    bool first = true;
    for (const fs::path& path : all_files(file, problems)) {
        fs::path real = path;
        if (trust) {
            auto trusted = trust(path);
            if (!trusted) {
                const bool wrong_owner = trusted.error().code == FLOWD_DENIED;
                add_file_problem(problems, path, without_path(trusted.error(), path),
                                 wrong_owner ? Problem::Category::configuration : category_of(trusted.error()));
                good = false;
                continue;
            }
            real = std::move(trusted).value();
        }
        bool is_public = false;
        const auto text = read_file(real, is_public);
        if (!text) {
            add_file_problem(problems, path, text.error(), category_of(text.error()));
            good = false;
            continue;
        }
        if (is_public) source.public_files.insert(path.string());
        source.files.push_back({path.string(), digest_of(*text)});
        auto root = read_yaml(*text, path.string(), problems);
        if (!root) {
            good = false;
        } else if (first) {
            source.root = std::move(*root);
            first = false;
        } else {
            merge(source.root, std::move(*root), "", problems);
        }
    }
    if (!good) return std::nullopt;
    return source;
}

}  // namespace flowd::core
