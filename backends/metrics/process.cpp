// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/process.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "flowd/number.hpp"

namespace flowd::metrics {
namespace {

[[nodiscard]] std::string text_of(const char* path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return std::move(text).str();
}

/// The numbers of /proc/self/stat from its third field on; the second, a name in parentheses, may contain any character.
[[nodiscard]] std::vector<double> fields_of_stat() {
    const std::string text = text_of("/proc/self/stat");
    std::vector<double> fields{0, 0};
    const auto after = text.rfind(')');
    if (after == std::string::npos) return {};
    std::istringstream rest(text.substr(after + 1));
    for (std::string word; rest >> word;) {
        const auto number = whole_number<std::int64_t>(word);
        fields.push_back(static_cast<double>(number.value_or(0)));  // 0 for the state, which is a letter
    }
    return fields;
}

/// Unix time of the boot.
[[nodiscard]] std::optional<double> boot_time() {
    std::istringstream lines(text_of("/proc/stat"));
    std::string word;
    for (double number = 0; lines >> word;)
        if (word == "btime" && lines >> number) return number;
    return std::nullopt;
}

[[nodiscard]] std::optional<double> open_descriptors() {
    std::error_code error;
    double count = -1;  // without the descriptor that reads the directory
    for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end; at.increment(error))
        ++count;
    if (error) return std::nullopt;
    return count;
}

}  // namespace

void print_process(Page& page) {
    const auto show = [&page](const char* name, const char* help, Type type, double value) {
        page.begin(name, help, type);
        page.add({}, value);
    };
    constexpr auto counter = Type::counter, gauge = Type::gauge;
    // proc(5) numbers the fields from 1: utime 14, stime 15, num_threads 20, starttime 22, vsize 23, rss 24.
    const auto fields = fields_of_stat();
    if (fields.size() >= 24) {
        const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
        show("process_cpu_seconds_total", "CPU time of the daemon.", counter, (fields[13] + fields[14]) / ticks);
        show("process_threads", "Threads of the daemon.", gauge, fields[19]);
        show("process_virtual_memory_bytes", "Virtual memory of the daemon.", gauge, fields[22]);
        show("process_resident_memory_bytes", "Resident memory of the daemon.", gauge,
             fields[23] * static_cast<double>(::sysconf(_SC_PAGESIZE)));
        if (const auto boot = boot_time())
            show("process_start_time_seconds", "Unix time when the daemon was started.", gauge, *boot + fields[21] / ticks);
    }
    if (const auto count = open_descriptors())
        show("process_open_fds", "Open file descriptors of the daemon.", gauge, *count);
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0)
        show("process_max_fds", "Limit of open file descriptors of the daemon.", gauge,
             static_cast<double>(limit.rlim_cur));
}

}  // namespace flowd::metrics
