// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/probe_host.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <string>

#include "flowd/sized.hpp"

namespace flowd::check {

namespace {

bool is_reason(std::string_view text) {
    const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
    return !text.empty() && text.size() <= 64 && lower(text.front()) &&
           std::all_of(text.begin(), text.end(), [&](char c) { return lower(c) || (c >= '0' && c <= '9') || c == '_'; });
}

bool is_metric_name(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return !name.empty() && letter(name.front()) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// A name in the directory of the check. As in the daemon, the module creates it.
std::string directory_of_an_instance(const char* what) {
    static std::atomic<unsigned> count{0};
    return (std::filesystem::temp_directory_path() / (what + std::to_string(++count))).string();
}

}  // namespace

ProbeHost::ProbeHost(std::uint32_t kind, Oddity oddity)
    : FakeHost("check"),
      kind_(kind),
      oddity_(oddity),
      plain_(*raw()),
      state_directory_(directory_of_an_instance("state")),
      runtime_directory_(directory_of_an_instance("runtime")) {
    plain_.state_directory = state_directory_.c_str();
    plain_.runtime_directory = runtime_directory_.c_str();
    *offered_ = plain_;
    replace_output();
    replace_loop();
    replace_metrics();
    if (oddity_.no_extensions) {
        offered_.get()->extension = [](const flowd_host*, const char*) -> const void* { return nullptr; };
        offered_.get()->state_directory = offered_.get()->runtime_directory = nullptr;
    }
    if (oddity_.later_core) {
        offered_.get()->abi_minor = 99;
        offered_.get()->core_version = "99.0";
        // As long as a later struct would say it is: a module of this minor must not read behind its own.
        offered_.get()->size = sizeof(flowd_host) + 64;
    }
}

ProbeHost& ProbeHost::of(const flowd_host* host) {
    return *static_cast<ProbeHost*>(static_cast<FakeHost*>(host->context));
}

void ProbeHost::breach(const std::string& what) {
    const std::lock_guard lock(breaches_mutex_);
    if (std::find(breaches_.begin(), breaches_.end(), what) == breaches_.end()) breaches_.push_back(what);
}

std::vector<std::string> ProbeHost::breaches() const {
    const std::lock_guard lock(breaches_mutex_);
    return breaches_;
}

void ProbeHost::alive(const char* call) {
    if (phase_ == Phase::destroyed) breach(fmt::format("{} was called after destroy had returned", call));
}

void ProbeHost::on_instance_thread(const char* call) {
    alive(call);
    if (std::this_thread::get_id() != thread_.load())
        breach(fmt::format("{} was called from a thread that is not the instance's", call));
}

void ProbeHost::judge_events(const flowd_event* events, std::size_t count, std::size_t stride) {
    if (phase_ < Phase::started) breach("emit was called before start");
    if (count > 0 && (events == nullptr || stride < sizeof(flowd_event))) {
        breach("emit was called with a stride below sizeof(flowd_event)");
        return;
    }
    for (std::size_t i = 0; i < count; ++i) {
        const auto* at = reinterpret_cast<const std::byte*>(events) + i * stride;
        const auto* event = reinterpret_cast<const flowd_event*>(at);
        if (event->size < sizeof(flowd_event) || event->size > stride)
            breach(fmt::format("emit was given an event whose size is {}", event->size));
        else if (event->kind < FLOWD_EVENT_START || event->kind > FLOWD_EVENT_CATCH_ALL_CLEAR)
            breach(fmt::format("emit was given an event of kind {}", event->kind));
        else if (event->flow_id != 0 && !knows_flow(event->flow_id))
            breach("emit was given a flow_id that it has not returned before");
    }
}

bool ProbeHost::knows_flow(std::uint64_t id) {
    const std::lock_guard lock(breaches_mutex_);
    return flows_.count(id) != 0;
}

void ProbeHost::answer_flows(std::span<const std::uint64_t> ids, std::uint64_t* flow_ids) {
    const std::lock_guard lock(breaches_mutex_);
    flows_.insert(ids.begin(), ids.end());
    if (flow_ids != nullptr) std::copy(ids.begin(), ids.end(), flow_ids);
}

void ProbeHost::judge_problem(const flowd_problem& problem) {
    if (problem.level != FLOWD_LEVEL_WARNING && problem.level != FLOWD_LEVEL_ERROR)
        breach(fmt::format("report was given the level {}: it is WARNING or ERROR", problem.level));
    if (problem.level == FLOWD_LEVEL_ERROR && problem.result >= 0)
        breach(fmt::format("report was given an error with the result {}: it has to be negative", problem.result));
    if (problem.message.length == 0) breach("report was given a problem without a message");
}

void ProbeHost::judge_metric(const flowd_metric_info& info) {
    const std::string name(to_view(info.name));
    if (!is_metric_name(name)) breach(fmt::format("metric_open was given the name '{}'", name));
    if (name.rfind("flowd_", 0) == 0) breach(fmt::format("the metric {} has the prefix that the core adds", name));
    const bool total = name.size() > 6 && name.compare(name.size() - 6, 6, "_total") == 0;
    if (info.type == FLOWD_METRIC_COUNTER && !total) breach(fmt::format("the counter {} does not end in _total", name));
    if (info.help.length == 0) breach(fmt::format("the metric {} has no help text", name));
    if (info.type < FLOWD_METRIC_COUNTER || info.type > FLOWD_METRIC_HISTOGRAM)
        breach(fmt::format("the metric {} has the type {}", name, info.type));
}

void ProbeHost::judge_refusal(const flowd_refusal& refusal) {
    if (!is_reason(to_view(refusal.reason)))
        breach(fmt::format("refused was given the reason '{}': it is [a-z][a-z0-9_]*, at most 64 bytes",
                           to_view(refusal.reason)));
}

void ProbeHost::replace_output() {
    flowd_host& host = *offered_;
    host.log = [](const flowd_host* self, flowd_level level, flowd_string message) {
        ProbeHost& probe = of(self);
        probe.alive("log");
        if (level > FLOWD_LEVEL_ERROR) probe.breach(fmt::format("log was given the level {}", level));
        if (to_view(message).find('\n') != std::string_view::npos) probe.breach("log was given a text with a newline");
        probe.plain_.log(self, level, message);
    };
    host.report = [](const flowd_host* self, const flowd_problem* problem) {
        ProbeHost& probe = of(self);
        probe.on_instance_thread("report");
        probe.judge_problem(copy_sized<flowd_problem>(problem));
        probe.plain_.report(self, problem);
    };
    host.refused = [](const flowd_host* self, const flowd_refusal* refusal) {
        ProbeHost& probe = of(self);
        probe.alive("refused");
        probe.judge_refusal(copy_sized<flowd_refusal>(refusal));
        return probe.plain_.refused(self, refusal);
    };
    host.lost = [](const flowd_host* self, std::uint64_t count, flowd_string what) {
        ProbeHost& probe = of(self);
        probe.alive("lost");
        probe.plain_.lost(self, count, what);
    };
    host.ready = [](const flowd_host* self) {
        ProbeHost& probe = of(self);
        probe.alive("ready");
        probe.plain_.ready(self);
        probe.at_dispatch([&probe] {
            if (probe.on_ready_) probe.on_ready_();
        });
    };
    host.emit = [](const flowd_host* self, const flowd_event* events, std::size_t count, std::size_t stride,
                   std::size_t* accepted, std::uint64_t* flow_ids) -> flowd_result {
        ProbeHost& probe = of(self);
        ++probe.emits_;
        probe.alive("emit");
        std::size_t ignored = 0;
        std::size_t& taken = accepted == nullptr ? ignored : *accepted;
        taken = 0;
        if (probe.kind_ != FLOWD_PLUGIN) {
            probe.breach("emit was called by a component that is not a plugin");
            return FLOWD_UNSUPPORTED;
        }
        probe.judge_events(events, count, stride);
        if (probe.phase_ >= Phase::stopped) return FLOWD_STOPPED;
        if (probe.oddity_.emit_answer) return *probe.oddity_.emit_answer;
        std::vector<std::uint64_t> ids(count);
        const flowd_result result = probe.plain_.emit(self, events, count, stride, &taken, ids.data());
        probe.answer_flows(std::span(ids).first(taken), flow_ids);
        return result;
    };
    host.post = [](const flowd_host* self, flowd_callback callback, void* user) -> flowd_result {
        ProbeHost& probe = of(self);
        probe.alive("post");
        if (probe.phase_ >= Phase::stopped) return FLOWD_STOPPED;
        if (probe.oddity_.refuses) return FLOWD_ERROR;
        return probe.plain_.post(self, callback, user);
    };
}

void ProbeHost::replace_loop() {
    flowd_host& host = *offered_;
    host.loop_fd = [](const flowd_host* self) {
        of(self).on_instance_thread("loop_fd");
        return of(self).plain_.loop_fd(self);
    };
    host.dispatch = [](const flowd_host* self) {
        of(self).on_instance_thread("dispatch");
        return of(self).plain_.dispatch(self);
    };
    host.watch = [](const flowd_host* self, int fd, std::uint32_t conditions, flowd_io_callback callback, void* user,
                    flowd_watch* watch) -> flowd_result {
        of(self).on_instance_thread("watch");
        if (of(self).oddity_.refuses) return FLOWD_ERROR;
        return of(self).plain_.watch(self, fd, conditions, callback, user, watch);
    };
    host.rewatch = [](const flowd_host* self, flowd_watch watch, std::uint32_t conditions) {
        of(self).on_instance_thread("rewatch");
        return of(self).plain_.rewatch(self, watch, conditions);
    };
    host.unwatch = [](const flowd_host* self, flowd_watch watch) {
        of(self).on_instance_thread("unwatch");
        of(self).plain_.unwatch(self, watch);
    };
    host.timer = [](const flowd_host* self, std::int64_t delay, std::int64_t period, flowd_callback callback, void* user,
                    flowd_timer* timer) -> flowd_result {
        of(self).on_instance_thread("timer");
        if (of(self).oddity_.refuses) return FLOWD_ERROR;
        return of(self).plain_.timer(self, delay, period, callback, user, timer);
    };
    host.cancel = [](const flowd_host* self, flowd_timer timer) {
        of(self).on_instance_thread("cancel");
        of(self).plain_.cancel(self, timer);
    };
}

void ProbeHost::replace_metrics() {
    flowd_host& host = *offered_;
    host.metric_open = [](const flowd_host* self, const flowd_metric_info* info, flowd_metric* metric) -> flowd_result {
        of(self).alive("metric_open");
        of(self).judge_metric(copy_sized<flowd_metric_info>(info));
        if (of(self).oddity_.refuses) return FLOWD_LIMIT;
        return of(self).plain_.metric_open(self, info, metric);
    };
    host.metric_add = [](const flowd_host* self, flowd_metric metric, double amount) {
        of(self).alive("metric_add");
        of(self).plain_.metric_add(self, metric, amount);
    };
    host.metric_set = [](const flowd_host* self, flowd_metric metric, double value) {
        of(self).alive("metric_set");
        of(self).plain_.metric_set(self, metric, value);
    };
    host.metric_observe = [](const flowd_host* self, flowd_metric metric, double value) {
        of(self).alive("metric_observe");
        of(self).plain_.metric_observe(self, metric, value);
    };
    host.metric_remove = [](const flowd_host* self, flowd_metric metric) {
        of(self).alive("metric_remove");
        of(self).plain_.metric_remove(self, metric);
    };
}

}  // namespace flowd::check
