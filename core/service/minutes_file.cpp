// SPDX-License-Identifier: Apache-2.0
#include "core/service/minutes_file.hpp"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <charconv>
#include <map>
#include <utility>
#include <vector>

#include "core/base/files.hpp"
#include "core/base/replace_file.hpp"

namespace flowd::core {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view product = "flowd-history ";
constexpr std::string_view first_line = "flowd-history 1\n";
constexpr std::size_t largest = (4u << 20) - 1024;
constexpr std::int64_t ns_per_minute = 60'000'000'000;

std::uint64_t checksum(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

/// Removes a number and the separator that follows it.
template <typename Number>
bool take(std::string_view& line, Number& out) {
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), out);
    if (error != std::errc()) return false;
    line.remove_prefix(static_cast<std::size_t>(end - line.data()));
    if (line.empty()) return true;
    if (line.front() != ' ') return false;
    line.remove_prefix(1);
    return true;
}

bool read_row(std::string_view line, std::int64_t& minute, MinuteSum& sum) {
    return take(line, minute) && take(line, sum.tag.experiment) && take(line, sum.tag.activity) && take(line, sum.local) &&
           take(line, sum.started) && take(line, sum.ended) && take(line, sum.bytes_sent) &&
           take(line, sum.bytes_received) && line.empty() && sum.local <= FLOWD_LOCAL_NONE;
}

}  // namespace

std::string print_minutes(const Minutes& minutes) {
    std::vector<std::pair<std::int64_t, std::string>> lines;
    minutes.visit(0, [&](std::int64_t minute, const MinuteSum& sum) {
        if (lines.empty() || lines.back().first != minute) lines.emplace_back(minute, std::string());
        lines.back().second += fmt::format("{} {} {} {} {} {} {} {}\n", minute, sum.tag.experiment, sum.tag.activity,
                                           unsigned{sum.local}, sum.started, sum.ended, sum.bytes_sent, sum.bytes_received);
        return true;
    });
    std::size_t size = first_line.size(), first = lines.size();
    while (first > 0 && size + lines[first - 1].second.size() <= largest) size += lines[--first].second.size();
    std::string out(first_line);
    for (; first < lines.size(); ++first) out += lines[first].second;
    return out + fmt::format("end {:016x}\n", checksum(out));
}

Result<void> parse_minutes(std::string_view text, std::int64_t latest, Minutes& minutes) {
    const Error damaged{FLOWD_INVALID, "its contents are damaged"};
    if (!text.starts_with(first_line))
        return text.starts_with(product) ? Error{FLOWD_UNSUPPORTED, "another version of flowd-cpp wrote it"} : damaged;
    const std::size_t end = text.rfind("end ");
    if (end == std::string_view::npos || text.substr(end) != fmt::format("end {:016x}\n", checksum(text.substr(0, end))))
        return damaged;
    std::map<std::int64_t, std::vector<MinuteSum>> all;
    for (std::string_view rest = text.substr(first_line.size(), end - first_line.size()); !rest.empty();) {
        const std::size_t length = rest.find('\n');
        std::int64_t minute = 0;
        MinuteSum sum;
        if (length == std::string_view::npos || !read_row(rest.substr(0, length), minute, sum)) return damaged;
        if (minute <= latest && minute > latest - Minutes::kept) all[minute].push_back(sum);
        rest.remove_prefix(length + 1);
    }
    for (const auto& [minute, rows] : all) minutes.add(minute, rows);
    return {};
}

Result<void> MinutesFile::load(std::int64_t now_ns) {
    if (file_.empty()) return {};
    auto text = read_file(file_);
    if (!text && text.error().code == FLOWD_NOT_FOUND) return {};
    auto done = text ? parse_minutes(*text, now_ns / ns_per_minute, minutes_) : Result<void>(std::move(text).error());
    if (done) return {};
    const fs::path aside = file_.string() + ".unreadable";
    std::error_code error;
    fs::rename(file_, aside, error);
    return Error{done.error().code,
                 "the sums of past minutes in " + file_.string() + " cannot be read: " + done.error().message +
                     (error ? "; it cannot be moved aside: " + error.message() : "; it was moved to " + aside.string())};
}

Result<void> MinutesFile::save() {
    const std::uint64_t changes = minutes_.changes();
    if (file_.empty() || changes == saved_changes_) return {};
    // One process writes it: a name that is always the same, so that a process which was killed leaves one file at most.
    const std::string successor = file_.string() + ".new";
    (void)::unlink(successor.c_str());
    if (auto done = write_successor(successor, file_, print_minutes(minutes_), {0640, {}}); !done) return done;
    if (auto done = rename_file(successor, file_); !done) return done;
    saved_changes_ = changes;
    return {};
}

}  // namespace flowd::core
