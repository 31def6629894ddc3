// SPDX-License-Identifier: Apache-2.0
// A backend that writes a line of JSON for each flow that starts, gets another tag or ends. A reload opens the file again,
// so that logrotate can rename it.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "flowd/module.hpp"
#include "flowd/publisher.hpp"
#include "flowd/rfc3339.hpp"
#include "flowd/unique_fd.hpp"

namespace jsonlines {

struct Options {
    std::filesystem::path file;
    static const flowd::Table<Options>& table() {
        static const flowd::Table<Options> table{
            flowd::option("file", &Options::file).required().doc("File that lines are appended to."),
        };
        return table;
    }
};

class JsonLines final : public flowd::Backend {
  public:
    using Options = jsonlines::Options;
    static constexpr flowd::Info info{
        .name = "jsonlines",
        .summary = "Writes a line of JSON for each flow that starts, gets another tag or ends.",
        .accepts = 1u << FLOWD_EVENT_START | 1u << FLOWD_EVENT_ONGOING | 1u << FLOWD_EVENT_END,
        .flags = FLOWD_COMPONENT_RECONFIGURE_ALWAYS};

    JsonLines(flowd::Host& host, Options options) : Backend(host), options_(std::move(options)) {}

    flowd::Result<void> prepare() override { return open(options_); }
    flowd::Result<void> start() override { return publisher_.start(); }
    /// After a failure the old file stays open.
    flowd::Result<void> reconfigure(Options options) {
        write_out();
        if (auto done = open(options); !done) return done;
        options_ = std::move(options);
        return {};
    }
    flowd::Taken on_events(const flowd::Events& events) override {
        std::size_t taken = 0;
        for (const flowd::EventView event : events) {
            if (unwritten_.size() >= most_unwritten && !write_out()) return flowd::Taken::full(taken);
            if (!event.is_ongoing() || event.has(FLOWD_RETAGGED)) add(event);
            ++taken;
        }
        write_out();  // one call for the whole batch
        return flowd::Taken::all();
    }
    flowd::Result<void> stop(flowd::Deadline deadline) override {
        retry_.reset();
        if (file_) deadline.await([this] { return write_out(); });
        const auto lost = std::count(unwritten_.begin(), unwritten_.end(), '\n');
        host().lost(static_cast<std::uint64_t>(lost), "lines were not written before the stop");
        publisher_.stop();
        return {};
    }
    void status(flowd::json::Writer& object) const override {
        object.member("summary",
                      unwritten_.empty() ? "writes " + options_.file.filename().string() : "cannot write its file");
        object.member("state", unwritten_.empty() ? "ok" : "degraded").member("file", options_.file.string());
        counters_.status(object);
    }

  private:
    static constexpr std::size_t most_unwritten = 1u << 20;  // bytes

    flowd::Result<void> open(const Options& options) {
        flowd::UniqueFd file(::open(options.file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640));
        if (!file) return flowd::Error::from_errno(errno, "opening " + options.file.string());
        file_ = std::move(file);
        return {};
    }
    void add(const flowd::EventView& event) {
        const auto registry = host().registry();
        flowd::json::Writer line(unwritten_);
        line.object().member("time", flowd::rfc3339(event->time_ns));
        line.member("event", event.is_start() ? "start" : event.is_end() ? "end" : "retag").member("flow", event->flow_id);
        line.member("experiment", event->tag.experiment).member("activity", event->tag.activity);
        line.member("experimentName", registry.experiment_name(event->tag.experiment));
        line.member("activityName", registry.activity_name(event->tag.experiment, event->tag.activity));
        line.member("protocol", event->key.protocol);
        line.member("source", event.source().address.to_string()).member("sourcePort", event.source().port);
        line.member("destination", event.destination().address.to_string());
        line.member("destinationPort", event.destination().port);
        line.member("application", event.application()).member("announcer", event.announcer()).member("rule", event.rule());
        if (event.has_usage()) line.member("sent", event->usage.bytes_sent).member("received", event->usage.bytes_received);
        line.end();
        unwritten_ += '\n';
        ++lines_;
    }
    /// Writes all lines or none, so that no part of a line stays in the file. If it fails, it is tried again in a second.
    bool write_out() {
        if (unwritten_.empty()) return true;
        const off_t end = ::lseek(file_.get(), 0, SEEK_END);
        const ssize_t count = ::write(file_.get(), unwritten_.data(), unwritten_.size());
        if (count == static_cast<ssize_t>(unwritten_.size())) {
            unwritten_.clear();
            return true;
        }
        const int number = count < 0 ? errno : ENOSPC;
        if (count > 0 && ::ftruncate(file_.get(), end) != 0) host().warning("a part of a line remains in the file");
        ++failures_;
        host().report(flowd::Problem::from(flowd::Error::from_errno(number, "writing " + options_.file.string())));
        auto retry = host().after(std::chrono::seconds(1), [this] {
            if (write_out()) host().ready();
        });
        if (retry) retry_ = *std::move(retry);
        return false;
    }

    Options options_;
    flowd::UniqueFd file_;
    std::string unwritten_;  // whole lines
    std::uint64_t lines_ = 0, failures_ = 0;
    flowd::Counters counters_{
        host(),
        {{"lines", "jsonlines_lines_total", "Lines that the jsonlines backend made.", &lines_},
         {"failures", "jsonlines_failures_total", "Failed writes of the jsonlines backend.", &failures_},
         {"unwrittenBytes", [this] { return unwritten_.size(); }}}};
    flowd::Publisher publisher_{host(), counters_};
    flowd::Timer retry_;
};

}  // namespace jsonlines

FLOWD_MODULE(jsonlines::JsonLines);
