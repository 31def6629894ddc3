// SPDX-License-Identifier: Apache-2.0
#include "core/base/service_manager.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace flowd::core {
namespace {

constexpr int first_passed = 3;  // SD_LISTEN_FDS_START

/// Nothing if the variable is not set, or is not a number.
std::optional<std::uint64_t> number_of(const char* variable) {
    const char* const text = std::getenv(variable);
    if (text == nullptr) return std::nullopt;
    const char* const end = text + std::string_view(text).size();
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(text, end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
    return number;
}

bool is_this_process(std::uint64_t pid) {
    return pid == static_cast<std::uint64_t>(::getpid());
}

}  // namespace

std::vector<std::pair<std::string, UniqueFd>> passed_descriptors() {
    std::vector<std::pair<std::string, UniqueFd>> passed;
    const auto pid = number_of("LISTEN_PID");
    const auto count = number_of("LISTEN_FDS");
    if (pid && is_this_process(*pid) && count) {
        const char* const variable = std::getenv("LISTEN_FDNAMES");
        std::string_view names = variable != nullptr ? variable : "";
        for (int fd = first_passed; fd < first_passed + static_cast<int>(std::min<std::uint64_t>(*count, 65536)); ++fd) {
            const std::string_view name = names.substr(0, names.find(':'));
            names.remove_prefix(std::min(names.size(), name.size() + 1));
            // Those that are not open are no descriptors of ours.
            if (::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
                passed.emplace_back(name.empty() ? "unknown" : std::string(name), UniqueFd(fd));
        }
    }
    for (const char* const variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(variable);
    return passed;
}

std::optional<std::chrono::microseconds> watchdog_timeout() {
    const auto pid = number_of("WATCHDOG_PID");
    const auto microseconds = number_of("WATCHDOG_USEC");
    if (!microseconds || *microseconds == 0 || (pid && !is_this_process(*pid))) return std::nullopt;
    return std::chrono::microseconds(*microseconds);
}

bool is_systemd_there() {
    return ::access("/run/systemd/system", F_OK) == 0;
}

}  // namespace flowd::core
