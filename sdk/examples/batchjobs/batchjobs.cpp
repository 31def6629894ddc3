// SPDX-License-Identifier: Apache-2.0
// A plugin that announces the TCP connections of batch jobs. HTCondor and Slurm run each job in a control group; the kernel
// reports the control group of each socket (sock_diag(7)).
#include <fnmatch.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "flowd/key.hpp"
#include "flowd/module.hpp"
#include "flowd/outbox.hpp"
#include "sockets.hpp"

namespace batchjobs {
namespace fs = std::filesystem;
using namespace std::chrono_literals;

struct Rule {
    std::string group;
    std::uint32_t experiment = 0, activity = 0;
    static const flowd::Table<Rule>& table() {
        static const flowd::Table<Rule> table{
            flowd::option("group", &Rule::group).required().doc("Shell pattern for the path of a control group."),
            flowd::option("experiment", &Rule::experiment).experiment().range(0, 511).required().doc("Of the jobs."),
            flowd::option("activity", &Rule::activity).activity().range(0, 63).required().doc("Of the jobs."),
        };
        return table;
    }
};

struct Options {
    fs::path root;
    std::chrono::milliseconds period{};
    std::vector<Rule> rules;
    static const flowd::Table<Options>& table() {
        static const flowd::Table<Options> table{
            flowd::option("root", &Options::root)
                .default_value("/sys/fs/cgroup")
                .doc("Mount of control groups, version 2."),
            flowd::option("period", &Options::period).default_value("5s").range(100ms, 1h).doc("Between two looks."),
            flowd::option("rules", &Options::rules).length(1, 64).required().doc("The first that matches applies."),
        };
        return table;
    }
};

struct Job {
    std::string name, rule;
    flowd_tag tag;
};
using Jobs = std::unordered_map<std::uint64_t, Job>;  // by the id of the control group: its inode number
using Connections = std::unordered_map<flowd_key, Job, flowd::KeyHash, flowd::KeyEqual>;

class BatchJobs final : public flowd::Plugin {
  public:
    using Options = batchjobs::Options;
    // The tag comes from a rule: what the job itself says of its transfers (fireflyp, api) takes precedence.
    static constexpr flowd::Info info{.name = "batchjobs",
                                      .summary = "Announces the TCP connections of batch jobs by control group.",
                                      .precedence = FLOWD_PRECEDENCE_RULE};

    BatchJobs(flowd::Host& host, Options options) : Plugin(host), options_(std::move(options)) {}

    flowd::Result<void> prepare() override {
        std::error_code error;
        if (fs::exists(options_.root / "cgroup.controllers", error)) return {};
        return flowd::Error{FLOWD_NOT_FOUND, options_.root.string() + " is no mount of control groups of version 2",
                            "findmnt -t cgroup2 shows where they are mounted: write it as root"};
    }
    flowd::Result<void> start() override {
        auto timer = host().every(options_.period, [this] {
            if (auto done = look(FLOWD_END_SOCKET_GONE); !done) host().report(flowd::Problem::from(done.error()));
        });
        if (!timer) return std::move(timer).error();
        timer_ = *std::move(timer);
        return look(FLOWD_END_SOCKET_GONE);
    }
    flowd::Result<void> reconfigure(Options options) {
        if (options.root != options_.root || options.period != options_.period)
            return flowd::Error{FLOWD_UNSUPPORTED, "a new instance is needed"};
        options_ = std::move(options);
        return look(FLOWD_END_WITHDRAWN);  // re-tags what another rule matches now, withdraws what none matches
    }
    flowd::Result<void> stop(flowd::Deadline deadline) override {
        timer_.reset();
        if (deadline.reason() != FLOWD_STOP_REPLACED) announce({}, FLOWD_END_WITHDRAWN);  // a successor keeps the flows
        outbox_.stop(deadline);
        return {};
    }
    void on_room() override { outbox_.drain(); }
    void status(flowd::json::Writer& object) const override {
        object.member("summary", "announces " + std::to_string(announced_.size()) + " connections");
        object.member("connections", announced_.size());
    }

  private:
    [[nodiscard]] Jobs find_jobs() const {
        Jobs jobs;
        std::error_code error;
        fs::recursive_directory_iterator it(options_.root, fs::directory_options::skip_permission_denied, error);
        for (; !error && it != fs::end(it); it.increment(error)) {
            struct stat group {};
            if (!it->is_directory(error) || ::stat(it->path().c_str(), &group) != 0) continue;
            const std::string path = it->path().lexically_relative(options_.root);
            const auto matches = [&](const Rule& rule) { return ::fnmatch(rule.group.c_str(), path.c_str(), 0) == 0; };
            const auto rule = std::find_if(options_.rules.begin(), options_.rules.end(), matches);
            if (rule == options_.rules.end()) continue;
            const std::string name = "rules[" + std::to_string(rule - options_.rules.begin()) + "]";
            jobs.emplace(group.st_ino, Job{it->path().filename(), name, {rule->experiment, rule->activity}});
        }
        return jobs;
    }
    flowd::Result<void> look(std::uint8_t end_reason) {
        if (outbox_.full()) return {};  // the kernel keeps what there is to say
        const Jobs jobs = find_jobs();
        Connections found;
        const auto add = [&](const flowd_key& key, std::uint64_t group) {
            if (const auto job = jobs.find(group); job != jobs.end()) found.emplace(key, job->second);
        };
        for (const int family : {AF_INET, AF_INET6})
            if (auto done = visit_sockets(family, add); !done) return done;
        announce(std::move(found), end_reason);
        return {};
    }
    /// Ends what is not in `now`, announces what is new, and re-tags what another rule matches.
    void announce(Connections now, std::uint8_t end_reason) {
        for (const auto& [key, job] : announced_) {
            if (now.count(key) != 0) continue;
            flowd::Event event = flowd::Event::end(key, job.tag);
            event->end_reason = end_reason;
            outbox_.add(std::move(event));
        }
        for (const auto& [key, job] : now) {
            const auto before = announced_.find(key);
            if (before != announced_.end() && flowd::same_tag(before->second.tag, job.tag)) continue;
            flowd::Event event = flowd::Event::start(key, job.tag);
            event->local = FLOWD_LOCAL_SOURCE;
            event.application(job.name).rule(job.rule);
            outbox_.add(std::move(event));
        }
        outbox_.flush();
        announced_ = std::move(now);
    }

    Options options_;
    Connections announced_;
    flowd::Outbox outbox_{host()};
    flowd::Timer timer_;
};

}  // namespace batchjobs

FLOWD_MODULE(batchjobs::BatchJobs);
