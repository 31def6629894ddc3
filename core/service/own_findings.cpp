// SPDX-License-Identifier: Apache-2.0
#include "core/service/own_findings.hpp"

#include <spdlog/fmt/fmt.h>
#include <sys/timex.h>

#include <algorithm>
#include <utility>

namespace flowd::core {
namespace {

constexpr std::int64_t stuck_after_ns = 10'000'000'000;

void changed_file(std::vector<Finding>& found, const std::string& file, const char* what) {
    found.push_back({FLOWD_LEVEL_WARNING, "daemon-configuration-changed", file, what, "the file that was loaded",
                     "flowd-cpp check, then flowd-cpp reload"});
}

const SourceFile* of_path(const std::vector<SourceFile>& files, const std::string& path) {
    const auto file = std::find_if(files.begin(), files.end(), [&](const SourceFile& each) { return each.path == path; });
    return file == files.end() ? nullptr : &*file;
}

}  // namespace

std::optional<Finding> finding_of(const Instance& instance) {
    const InstanceStatus status = instance.status();
    const flowd_level severity = instance.config()->required ? FLOWD_LEVEL_ERROR : FLOWD_LEVEL_WARNING;
    if (status.state == InstanceState::failed || status.state == InstanceState::abandoned) {
        std::string remedy = "correct the cause";
        for (const Problem& problem : instance.problems())
            if (!problem.hint.empty()) remedy = problem.hint;
        return Finding{severity,
                       "daemon-instance-failed",
                       instance.name(),
                       status.last_error.empty() ? "it failed" : status.last_error,
                       "an instance that runs",
                       remedy + "; then flowd-cpp reload",
                       status.since_ns};
    }
    if (status.in_call_ns > stuck_after_ns)
        return Finding{severity,
                       "daemon-instance-stuck",
                       instance.name(),
                       "its call '" + status.in_call + "' does not return",
                       "every call returns at once",
                       "look at its log; restart the daemon",
                       0};
    return std::nullopt;
}

bool is_clock_synchronised() {
    timex nothing_to_set{};
    return ::adjtimex(&nothing_to_set) != TIME_ERROR;
}

Finding clock_finding() {
    // A note only: if a hypervisor disciplines the clock, the kernel does not know that it is synchronised.
    return {FLOWD_LEVEL_INFO,
            "daemon-clock-not-synchronised",
            "",
            "the kernel's clock is not synchronised",
            "a clock that NTP or PTP keeps: fireflies carry its time",
            "run chronyd or systemd-timesyncd"};
}

void OwnFindings::set_in_force(std::vector<SourceFile> files, std::vector<Finding> findings) {
    const std::lock_guard lock(mutex_);
    in_force_ = std::move(files);
    of_configuration_ = std::move(findings);
}

void OwnFindings::add_of_start(Finding finding) {
    const std::lock_guard lock(mutex_);
    of_start_.push_back(std::move(finding));
}

std::vector<Finding> OwnFindings::look() {
    std::vector<Finding> found = [&] {
        const std::lock_guard lock(mutex_);
        std::vector<Finding> all = of_configuration_;
        all.insert(all.end(), of_start_.begin(), of_start_.end());
        return all;
    }();
    look_at_files(found);
    look_at_bus(found);
    look_at_tags(found);
    if (!surroundings_.is_clock_synchronised()) found.push_back(clock_finding());
    return found;
}

void OwnFindings::look_at_files(std::vector<Finding>& found) const {
    const std::vector<SourceFile> on_disk = surroundings_.files_on_disk();
    const auto in_force = [&] {
        const std::lock_guard lock(mutex_);
        return in_force_;
    }();
    for (const SourceFile& loaded : in_force) {
        const SourceFile* now = of_path(on_disk, loaded.path);
        if (now == nullptr)
            changed_file(found, loaded.path, "it is gone");
        else if (now->digest != loaded.digest)
            changed_file(found, loaded.path, "it was changed and not loaded");
    }
    for (const SourceFile& now : on_disk)
        if (of_path(in_force, now.path) == nullptr) changed_file(found, now.path, "it is new and not loaded");
    for (const std::filesystem::path& module : surroundings_.changed_modules())
        found.push_back({FLOWD_LEVEL_WARNING, "daemon-module-changed", module.string(), "the file was replaced or removed",
                         "the file that was loaded", "restart the daemon"});
}

void OwnFindings::look_at_bus(std::vector<Finding>& found) {
    const BusCounters bus = surroundings_.bus();
    const auto warn = [&](const char* id, const std::string& subject, std::string what, const char* expected,
                          const char* remedy) {
        found.push_back({FLOWD_LEVEL_WARNING, id, subject, std::move(what), expected, remedy});
    };
    for (const BackendCounters& backend : bus.backends) {
        if (backend.behind)
            warn("daemon-backend-behind", "backend " + backend.name,
                 fmt::format("{} events wait, and it takes none", backend.depth), "a backend that takes events",
                 "look at its log and at flowd-cpp status");
        const std::uint64_t lost = backend.failed + backend.given_up;
        if (grew("lost " + backend.name, lost))
            warn("daemon-events-lost", "backend " + backend.name, fmt::format("{} events are lost", lost),
                 "every event reaches every backend", "look at its log; raise queues.events if it is slow");
    }
    for (const AnnouncerCounters& plugin : bus.announcers)
        for (const auto& [limit, key] : {std::pair(Refusal::limit_live, "flows.maxLive"),
                                         {Refusal::limit_instance, "flows.maxPerInstance"},
                                         {Refusal::limit_sender, "flows.maxPerSource"}}) {
            const std::uint64_t refused = plugin.refused[static_cast<std::size_t>(limit)];
            if (grew(std::string(key) + " " + plugin.name, refused))
                warn("daemon-flow-limit-reached", "plugin " + plugin.name,
                     fmt::format("{} flows were refused: {}", refused, key), "fewer live flows than the limit",
                     "raise the limit, or stop what announces so many flows");
        }
    if (grew("samples", bus.samples_shed))
        warn("daemon-samples-shed", "", fmt::format("{} samples of live flows were left out", bus.samples_shed),
             "room for every sample of a period", "raise enrichers.period");
    if (grew("dumps", bus.socket_dumps_failed))
        warn("daemon-sockets-unreadable", "", "the kernel's sockets (sock_diag) could not be read",
             "ends of connections that no instance announces are found by their sockets",
             "load the kernel modules tcp_diag and udp_diag; look at the log");
}

/// A note only: often another host's application announces them.
void OwnFindings::look_at_tags(std::vector<Finding>& found) {
    for (const UnregisteredTags::Count& one : surroundings_.unregistered_tags())
        if (grew("tag " + one.tag, one.flows))
            found.push_back({FLOWD_LEVEL_INFO, "daemon-flow-tag-unregistered", one.tag,
                             fmt::format("{} flows had {}, which is not in the registry{}", one.flows, one.words,
                                         one.hint.empty() ? "" : "; " + one.hint),
                             "tags of the registry",
                             "see what gives it: flowd-cpp explain " + one.tag + "; correct that, or update the registry"});
}

bool OwnFindings::grew(const std::string& counter, std::uint64_t value) {
    const std::int64_t now = surroundings_.steady_ns();
    Growth& growth = growth_[counter];
    if (value > growth.value) growth.seen_ns = now;
    const bool ever = value > 0;
    growth.value = value;
    return ever && now - growth.seen_ns < memory_ns;
}

}  // namespace flowd::core
