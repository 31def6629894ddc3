// SPDX-License-Identifier: Apache-2.0
// A plugin that announces the TCP connections of batch jobs. HTCondor and Slurm run each job in a control group; the kernel
// reports the control group of each socket (sockets.hpp).
#include <fnmatch.h>
#include <fts.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>

#include "flowd/key.hpp"
#include "flowd/module.hpp"
#include "flowd/outbox.hpp"
#include "sockets.hpp"

namespace batchjobs {
using namespace std::chrono_literals;

class BatchJobs final : public flowd::Plugin {
  public:
    struct Options {
        std::filesystem::path root;
        std::string group;
        std::chrono::milliseconds period{};
        std::uint32_t experiment = 0, activity = 0;
        static const flowd::Table<Options>& table() {
            static const flowd::Table<Options> table{
                flowd::option("root", &Options::root).default_value("/sys/fs/cgroup").doc("Mount of control groups."),
                flowd::option("group", &Options::group)
                    .required()
                    .doc("Shell pattern for the path of a job's control group."),
                flowd::option("period", &Options::period).default_value("5s").range(100ms, 1h).doc("Between two looks."),
                flowd::option("experiment", &Options::experiment).experiment().range(0, 511).required().doc("Of the jobs."),
                flowd::option("activity", &Options::activity).activity().range(0, 63).required().doc("Of the jobs.")};
            return table;
        }
    };
    // The tag comes from a rule: what the job itself says of its transfers (fireflyp, api) takes precedence.
    static constexpr flowd::Info info{.name = "batchjobs",
                                      .summary = "Announces the TCP connections of batch jobs by control group.",
                                      .precedence = FLOWD_PRECEDENCE_RULE};

    BatchJobs(flowd::Host& host, Options options) : Plugin(host), options_(std::move(options)) {}

    flowd::Result<void> prepare() override {
        std::error_code error;
        if (std::filesystem::exists(options_.root / "cgroup.controllers", error)) return {};
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
        return look(FLOWD_END_WITHDRAWN);  // re-tags what still matches, withdraws what does not
    }
    flowd::Result<void> stop(flowd::Deadline deadline) override {
        timer_.reset();
        if (deadline.reason() != FLOWD_STOP_REPLACED) announce({}, FLOWD_END_WITHDRAWN);  // a successor keeps the flows
        outbox_.stop(deadline);
        return {};
    }
    void on_room() override { outbox_.drain(); }
    void status(flowd::json::Writer& object) const override { object.member("connections", announced_.size()); }

  private:
    using Connections = std::unordered_set<flowd_key, flowd::KeyHash, flowd::KeyEqual>;

    [[nodiscard]] std::unordered_set<std::uint64_t> matching_groups() const {
        std::unordered_set<std::uint64_t> ids;
        std::string root = options_.root / "";  // with one slash at the end
        char* const roots[] = {root.data(), nullptr};
        const std::unique_ptr<FTS, int (*)(FTS*)> tree(::fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, nullptr),
                                                       &::fts_close);
        while (const FTSENT* const entry = tree ? ::fts_read(tree.get()) : nullptr)
            if (entry->fts_info == FTS_D && entry->fts_level > 0 &&
                ::fnmatch(options_.group.c_str(), entry->fts_path + root.size(), 0) == 0)
                ids.insert(entry->fts_statp->st_ino);
        return ids;
    }
    flowd::Result<void> look(std::uint8_t end_reason) {
        if (outbox_.full()) return {};  // the kernel keeps what there is to say
        Connections found;
        auto done = visit_connections([&found, ids = matching_groups()](const flowd_key& connection, std::uint64_t group) {
            if (ids.count(group) != 0) found.insert(connection);
        });
        if (done) announce(std::move(found), end_reason);
        return done;
    }
    void announce(Connections now, std::uint8_t end_reason) {
        for (const flowd_key& connection : now) {
            flowd::Event start = flowd::Event::start(connection, {options_.experiment, options_.activity});
            start->local = FLOWD_LOCAL_SOURCE;
            outbox_.add(start.rule(options_.group));  // refreshes a live flow, re-tags it after a reload
            announced_.erase(connection);
        }
        for (const flowd_key& connection : announced_) {
            flowd::Event end = flowd::Event::end(connection, {options_.experiment, options_.activity});
            end->end_reason = end_reason;
            outbox_.add(std::move(end));
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
