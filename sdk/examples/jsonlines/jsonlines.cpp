// SPDX-License-Identifier: Apache-2.0
// A backend that writes a line of JSON for each flow that starts, gets another tag or ends. A reload opens the file again,
// so that logrotate can rename it.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <utility>

#include "flowd/module.hpp"
#include "flowd/protocol.hpp"
#include "flowd/rfc3339.hpp"
#include "flowd/unique_fd.hpp"

namespace {

class JsonLines final : public flowd::Backend {
  public:
    struct Options {
        std::filesystem::path file;
        static const flowd::Table<Options>& table() {
            static const flowd::Table<Options> table{
                flowd::option("file", &Options::file).required().doc("File that lines are appended to."),
            };
            return table;
        }
    };
    static constexpr flowd::Info info{
        .name = "jsonlines",
        .summary = "Writes a line of JSON for each flow that starts, gets another tag or ends.",
        .flags = FLOWD_COMPONENT_RECONFIGURE_ALWAYS};

    JsonLines(flowd::Host& host, Options options) : Backend(host), options_(std::move(options)) {}

    flowd::Result<void> prepare() override { return open(options_); }
    flowd::Result<void> start() override {
        auto retry = host().every(std::chrono::seconds(1), [this] { host().ready(); });  // offers again what was not taken
        if (!retry) return std::move(retry).error();
        retry_ = *std::move(retry);
        return {};
    }
    flowd::Result<void> reconfigure(Options options) {
        if (auto done = open(options); !done) return done;  // the old file stays open
        options_ = std::move(options);
        host().ready();
        return {};
    }
    flowd::Taken on_events(const flowd::Events& events) override {
        std::string lines;
        for (const flowd::EventView event : events)
            if (!event.is_ongoing() || event.has(FLOWD_RETAGGED)) add_line(lines, event);
        writes_ = lines.empty() || write(lines);  // one call for the whole batch
        return writes_ ? flowd::Taken::all() : flowd::Taken::full(0);
    }
    void status(flowd::json::Writer& object) const override {
        object.member("summary", writes_ ? "writes " + options_.file.filename().string() : "cannot write its file");
        object.member("state", writes_ ? "ok" : "degraded");
    }

  private:
    flowd::Result<void> open(const Options& options) {
        flowd::UniqueFd file(::open(options.file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640));
        if (!file) return flowd::Error::from_errno(errno, "opening " + options.file.string());
        file_ = std::move(file);
        return {};
    }
    void add_line(std::string& lines, const flowd::EventView& event) {
        const auto registry = host().registry();
        flowd::json::Writer line(lines);
        line.object().member("time", flowd::rfc3339(event->time_ns)).member("id", event->flow_id);
        line.member("event", event.is_start() ? "start" : event.is_end() ? "end" : "retag");
        line.member("source", event.source().to_string()).member("destination", event.destination().to_string());
        line.member("protocol", flowd::protocol_name(event->key.protocol));
        line.member("experimentId", event->tag.experiment).member("activityId", event->tag.activity);
        line.member("experiment", registry.experiment_name(event->tag.experiment));
        line.member("activity", registry.activity_name(event->tag.experiment, event->tag.activity));
        line.member("application", event.application()).member("announcer", event.announcer()).member("rule", event.rule());
        if (event.has_usage())
            line.member("bytesSent", event->usage.bytes_sent).member("bytesReceived", event->usage.bytes_received);
        line.end();
        lines += '\n';
    }
    /// Writes all lines or none, so that no part of a line stays in the file.
    bool write(const std::string& lines) {
        const off_t end = ::lseek(file_.get(), 0, SEEK_END);
        const ssize_t count = ::write(file_.get(), lines.data(), lines.size());
        if (count == static_cast<ssize_t>(lines.size())) return true;
        const int number = count < 0 ? errno : ENOSPC;
        if (count > 0 && ::ftruncate(file_.get(), end) != 0) host().warning("a part of a line remains in the file");
        failures_.add();
        host().report(flowd::Problem::from(flowd::Error::from_errno(number, "writing " + options_.file.string())));
        return false;
    }

    Options options_;
    flowd::UniqueFd file_;
    bool writes_ = true;
    flowd::Counter failures_{host().counter("jsonlines_failures_total", "Failed writes of the jsonlines backend.")};
    flowd::Timer retry_;
};

}  // namespace

FLOWD_MODULE(JsonLines);
