// SPDX-License-Identifier: Apache-2.0
// flowd/host.hpp: the services of the core for one instance, in C++.
//
// A Host and all objects that it creates belong to one instance. [any] and [instance] as in flowd/abi/base.h; without a tag
// a call is [instance]. Watches, timers and metrics are owned by the caller and end when the object is destroyed; they must
// not outlive the component. An exception that leaves a callback is caught and logged.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/abi/host.h"
#include "flowd/detail/guarded.hpp"
#include "flowd/event.hpp"
#include "flowd/extensions.hpp"
#include "flowd/problem.hpp"
#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd {

class Host;

/// The result of emit. The first `accepted` events were taken; flowd_host.emit says what to do with the rest.
struct Emitted {
    flowd_result result = FLOWD_OK;
    std::size_t accepted = 0;
    [[nodiscard]] bool ok() const { return result == FLOWD_OK; }
    [[nodiscard]] bool full() const { return result == FLOWD_FULL; }
    [[nodiscard]] bool stopped() const { return result == FLOWD_STOPPED; }
    explicit operator bool() const { return ok(); }
};

/// Calls back while a descriptor is ready. Movable; may be destroyed in its own callback. The descriptor must outlive it.
class Watch {
  public:
    using Callback = std::function<void(std::uint32_t ready)>;  ///< FLOWD_IO_* bits

    Watch() = default;
    Watch(Watch&&) = default;
    Watch& operator=(Watch&& other) noexcept {
        if (this != &other) {
            reset();
            state_ = std::move(other.state_);
        }
        return *this;
    }
    ~Watch() { reset(); }

    explicit operator bool() const { return state_ != nullptr; }
    void reset() {
        if (state_ == nullptr) return;
        if (state_->watch != 0) state_->host->unwatch(state_->host, state_->watch);
        state_.reset();
    }
    /// Changes the conditions; 0 pauses.
    Result<void> conditions(std::uint32_t conditions) {
        if (state_ == nullptr) return Error{FLOWD_INVALID, "nothing is watched"};
        const flowd_result result = state_->host->rewatch(state_->host, state_->watch, conditions);
        if (result < 0) return Error{result, "changing a watch was refused"};
        return {};
    }

  private:
    friend class Host;
    struct State : std::enable_shared_from_this<State> {
        const flowd_host* host = nullptr;
        flowd_watch watch = 0;
        Callback callback;
    };
    static void call(void* user, int, std::uint32_t ready) {
        const auto state = static_cast<State*>(user)->shared_from_this();  // the callback may destroy its own Watch
        detail::guarded(state->host, "a watch callback", [&] { state->callback(ready); });
    }
    std::shared_ptr<State> state_;
};

/// Calls back after a delay, once or periodically. Movable; may be destroyed in its own callback.
class Timer {
  public:
    using Callback = std::function<void()>;

    Timer() = default;
    Timer(Timer&&) = default;
    Timer& operator=(Timer&& other) noexcept {
        if (this != &other) {
            reset();
            state_ = std::move(other.state_);
        }
        return *this;
    }
    ~Timer() { reset(); }

    explicit operator bool() const { return state_ != nullptr; }
    void reset() {
        if (state_ == nullptr) return;
        if (state_->timer != 0) state_->host->cancel(state_->host, state_->timer);
        state_.reset();
    }

  private:
    friend class Host;
    struct State : std::enable_shared_from_this<State> {
        const flowd_host* host = nullptr;
        flowd_timer timer = 0;
        Callback callback;
    };
    static void call(void* user) {
        const auto state = static_cast<State*>(user)->shared_from_this();
        detail::guarded(state->host, "a timer callback", [&] { state->callback(); });
    }
    std::shared_ptr<State> state_;
};

using Labels = std::vector<std::pair<std::string, std::string>>;

/// One time series, removed by the destructor. [any] Default-constructed, or refused by the core: has no effect.
class Metric {
  public:
    Metric() = default;
    Metric(Metric&& other) noexcept
        : host_(std::exchange(other.host_, nullptr)), metric_(std::exchange(other.metric_, 0)) {}
    Metric& operator=(Metric&& other) noexcept {
        std::swap(host_, other.host_);
        std::swap(metric_, other.metric_);
        return *this;
    }
    ~Metric() {
        if (metric_ != 0) host_->metric_remove(host_, metric_);
    }
    explicit operator bool() const { return metric_ != 0; }

  protected:
    Metric(const flowd_host* host, flowd_metric metric) : host_(host), metric_(metric) {}
    const flowd_host* host_ = nullptr;
    flowd_metric metric_ = 0;
};

class Counter : public Metric {
  public:
    using Metric::Metric;
    void add(double amount = 1) {
        if (metric_ != 0) host_->metric_add(host_, metric_, amount);
    }
    /// For a total that is kept elsewhere: adds its increase since the last call on this object.
    void set_total(double total) {
        if (metric_ != 0) host_->metric_set(host_, metric_, total);
    }

  private:
    friend class Host;
};

class Gauge : public Metric {
  public:
    using Metric::Metric;
    void add(double amount) {
        if (metric_ != 0) host_->metric_add(host_, metric_, amount);
    }
    void set(double value) {
        if (metric_ != 0) host_->metric_set(host_, metric_, value);
    }

  private:
    friend class Host;
};

class Histogram : public Metric {
  public:
    using Metric::Metric;
    void observe(double value) {
        if (metric_ != 0) host_->metric_observe(host_, metric_, value);
    }

  private:
    friend class Host;
};

/// Tells when all backends have taken the events that were emitted. [any] Without the extension a mark is refused.
class Delivery {
  public:
    Delivery() = default;
    Delivery(Host& host, const void* extension) : host_(&host), ext_(copy_sized<flowd_ext_delivery>(extension)) {}
    explicit operator bool() const { return ext_.size != 0; }

    /// Calls `passed` on the instance's thread once every backend has taken, or refused permanently, all events that this
    /// instance emitted before; in the order of the marks. FLOWD_LIMIT: 65,536 are outstanding; FLOWD_STOPPED: the instance
    /// was stopped. Marks that are outstanding at the stop are freed with the host.
    Result<void> mark(std::function<void()> passed) const;

  private:
    Host* host_ = nullptr;
    flowd_ext_delivery ext_{};
};

class Host {
  public:
    /// Fails if the core lacks a service that this SDK needs, and names it.
    [[nodiscard]] static Result<std::unique_ptr<Host>> make(const flowd_host* raw) {
        const auto api = copy_sized<flowd_host>(raw);
        if (const char* missing = first_missing(api))
            return Error{FLOWD_UNSUPPORTED, std::string("the core does not offer flowd_host.") + missing,
                         "update the daemon, or build the module with an older SDK"};
        return std::unique_ptr<Host>(new Host(raw, api));
    }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    ~Host() = default;

    [[nodiscard]] std::string_view instance() const { return api_.instance; }          ///< [any] "firefly/regional"
    [[nodiscard]] std::string_view core_version() const { return api_.core_version; }  ///< [any]
    [[nodiscard]] const flowd_host* raw() const { return raw_; }                       ///< [any]

    /// [any] One line, no newline.
    void log(flowd_level level, std::string_view text) const { api_.log(raw_, level, to_c(text)); }
    void trace(std::string_view text) const { log(FLOWD_LEVEL_TRACE, text); }
    void debug(std::string_view text) const { log(FLOWD_LEVEL_DEBUG, text); }
    void info(std::string_view text) const { log(FLOWD_LEVEL_INFO, text); }
    void warning(std::string_view text) const { log(FLOWD_LEVEL_WARNING, text); }
    void error(std::string_view text) const { log(FLOWD_LEVEL_ERROR, text); }

    /// A problem for the administrator. The SDK reports the errors that prepare(), start() and reconfigure() return.
    void report(const Problem& problem) const {
        const flowd_problem raw = problem.raw();
        api_.report(raw_, &raw);
    }

    /// [any] An input from outside was refused: see flowd_host.refused. `sender` is text; `first` are the input's first
    /// bytes.
    void refused(std::string_view reason, std::string_view sender = {}, std::string_view first = {}) const {
        const flowd_refusal refusal{sizeof refusal, 0, to_c(reason), to_c(sender), to_bytes(first)};
        api_.refused(raw_, &refusal);
    }
    /// [any] `count` events were lost: see flowd_host.lost. No effect for 0.
    void lost(std::uint64_t count, std::string_view what) const {
        if (count != 0) api_.lost(raw_, count, to_c(what));
    }
    /// [any] The number for flowd_event.sender of a host or of a local user.
    [[nodiscard]] std::uint64_t sender_id(const Address& address) const {
        return api_.sender_id(raw_, {address.bytes().data(), address.bytes().size()});
    }
    [[nodiscard]] std::uint64_t sender_id_of_user(std::uint32_t uid) const {
        return api_.sender_id(raw_, to_bytes("uid:" + std::to_string(uid)));
    }
    /// [any] Directories for this instance alone, which the module creates; empty if there is none.
    [[nodiscard]] std::string_view state_directory() const {
        return api_.state_directory == nullptr ? std::string_view() : std::string_view(api_.state_directory);
    }
    [[nodiscard]] std::string_view runtime_directory() const {
        return api_.runtime_directory == nullptr ? std::string_view() : std::string_view(api_.runtime_directory);
    }

    /// [any] Plugins. Never blocks. `flow_ids` is empty or as long as `events`: the flow id of each accepted event.
    Emitted emit(std::span<const flowd_event> events, std::span<std::uint64_t> flow_ids = {}) const {
        Emitted emitted;
        emitted.result = api_.emit(raw_, events.data(), events.size(), sizeof(flowd_event), &emitted.accepted,
                                   flow_ids.size() < events.size() ? nullptr : flow_ids.data());
        return emitted;
    }
    Emitted emit(const flowd_event& event) const { return emit(std::span<const flowd_event>(&event, 1)); }
    Emitted emit(const Event& event) const { return emit(event.raw()); }
    Emitted emit(std::span<const Event> events) const {
        std::vector<flowd_event> raw;
        raw.reserve(events.size());
        for (const Event& event : events) raw.push_back(event.raw());
        return emit(std::span<const flowd_event>(raw));
    }

    /// [any] Backends: on_events returned full before, and there is room now.
    void ready() const { api_.ready(raw_); }

    /// [any] Runs `work` on the instance's thread, after everything posted before. False once the instance has stopped:
    /// it will not run. Work that has not run is freed with the host.
    bool post(std::function<void()> work) {
        return hand_in(std::move(work), [this](Posted* posted) { return api_.post(raw_, &Host::run_posted, posted); }) ==
               FLOWD_OK;
    }

    /// `conditions` are FLOWD_IO_* bits; level-triggered.
    [[nodiscard]] Result<Watch> watch(int fd, std::uint32_t conditions, Watch::Callback callback) const {
        Watch watch;
        watch.state_ = std::make_shared<Watch::State>();
        watch.state_->host = raw_;
        watch.state_->callback = std::move(callback);
        const flowd_result result =
            api_.watch(raw_, fd, conditions, &Watch::call, watch.state_.get(), &watch.state_->watch);
        if (result < 0) return Error{result, "descriptor " + std::to_string(fd) + " cannot be watched"};
        return watch;
    }

    /// First after `delay`, then every `period`; period 0: once.
    [[nodiscard]] Result<Timer> timer(std::chrono::nanoseconds delay, std::chrono::nanoseconds period,
                                      Timer::Callback callback) const {
        Timer timer;
        timer.state_ = std::make_shared<Timer::State>();
        timer.state_->host = raw_;
        timer.state_->callback = std::move(callback);
        const flowd_result result =
            api_.timer(raw_, delay.count(), period.count(), &Timer::call, timer.state_.get(), &timer.state_->timer);
        if (result < 0) return Error{result, "the core refused a timer"};
        return timer;
    }
    [[nodiscard]] Result<Timer> after(std::chrono::nanoseconds delay, Timer::Callback callback) const {
        return timer(delay, std::chrono::nanoseconds(0), std::move(callback));
    }
    [[nodiscard]] Result<Timer> every(std::chrono::nanoseconds period, Timer::Callback callback) const {
        return timer(period, period, std::move(callback));
    }

    /// [any] Names without the prefix flowd_; those of counters end in _total. The core adds the label
    /// `flowd_instance`.
    [[nodiscard]] Counter counter(std::string_view name, std::string_view help, const Labels& labels = {},
                                  std::string_view unit = {}) const {
        return {raw_, open_metric(FLOWD_METRIC_COUNTER, name, help, labels, unit, {})};
    }
    [[nodiscard]] Gauge gauge(std::string_view name, std::string_view help, const Labels& labels = {},
                              std::string_view unit = {}) const {
        return {raw_, open_metric(FLOWD_METRIC_GAUGE, name, help, labels, unit, {})};
    }
    /// `bounds`: upper bounds, ascending, without +Inf.
    [[nodiscard]] Histogram histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                                      const Labels& labels = {}, std::string_view unit = {}) const {
        return {raw_, open_metric(FLOWD_METRIC_HISTOGRAM, name, help, labels, unit, bounds)};
    }

    [[nodiscard]] const void* extension(const char* id) const { return api_.extension(raw_, id); }      ///< [any]
    [[nodiscard]] Registry registry() const { return {raw_, extension(FLOWD_EXT_REGISTRY)}; }           ///< [any]
    [[nodiscard]] LiveFlows flows() const { return {raw_, extension(FLOWD_EXT_FLOWS)}; }                ///< [any]
    [[nodiscard]] History history() const { return {raw_, extension(FLOWD_EXT_HISTORY)}; }              ///< [any]
    [[nodiscard]] FlowEvents events() const { return {raw_, extension(FLOWD_EXT_EVENTS)}; }             ///< [any]
    [[nodiscard]] Descriptors descriptors() const { return {raw_, extension(FLOWD_EXT_DESCRIPTORS)}; }  ///< [any]
    [[nodiscard]] Shared shared() const { return {raw_, extension(FLOWD_EXT_SHARED)}; }                 ///< [any]
    [[nodiscard]] Interfaces interfaces() const { return {raw_, extension(FLOWD_EXT_INTERFACES)}; }     ///< [any]
    [[nodiscard]] AllMetrics all_metrics() const { return {raw_, extension(FLOWD_EXT_METRICS)}; }       ///< [any]
    [[nodiscard]] Delivery delivery() { return {*this, extension(FLOWD_EXT_DELIVERY)}; }                ///< [any]

    /// For own loops: watch it for reading, then dispatch. flowd/asio.hpp does both.
    [[nodiscard]] int loop_fd() const { return api_.loop_fd(raw_); }
    flowd_result dispatch() const { return api_.dispatch(raw_); }

  private:
    struct Posted {
        Host* host = nullptr;
        std::list<Posted>::iterator self;
        std::function<void()> work;
    };

    Host(const flowd_host* raw, const flowd_host& api) : raw_(raw), api_(api) {}

    static const char* first_missing(const flowd_host& api) {
        if (api.instance == nullptr) return "instance";
        if (api.core_version == nullptr) return "core_version";
        if (api.log == nullptr) return "log";
        if (api.report == nullptr) return "report";
        if (api.refused == nullptr) return "refused";
        if (api.lost == nullptr) return "lost";
        if (api.sender_id == nullptr) return "sender_id";
        if (api.ready == nullptr) return "ready";
        if (api.emit == nullptr) return "emit";
        if (api.post == nullptr) return "post";
        if (api.loop_fd == nullptr) return "loop_fd";
        if (api.dispatch == nullptr) return "dispatch";
        if (api.watch == nullptr) return "watch";
        if (api.rewatch == nullptr) return "rewatch";
        if (api.unwatch == nullptr) return "unwatch";
        if (api.timer == nullptr) return "timer";
        if (api.cancel == nullptr) return "cancel";
        if (api.metric_open == nullptr) return "metric_open";
        if (api.metric_add == nullptr) return "metric_add";
        if (api.metric_set == nullptr) return "metric_set";
        if (api.metric_observe == nullptr) return "metric_observe";
        if (api.metric_remove == nullptr) return "metric_remove";
        if (api.extension == nullptr) return "extension";
        return nullptr;
    }

    /// Owns `work` until run_posted, or until it is refused.
    template <typename Submit>
    flowd_result hand_in(std::function<void()> work, Submit submit) {
        Posted* posted = nullptr;
        {
            const std::lock_guard lock(posts_mutex_);
            posted = &posts_.emplace_back();
            posted->host = this;
            posted->self = std::prev(posts_.end());
            posted->work = std::move(work);
        }
        const flowd_result result = submit(posted);
        if (result != FLOWD_OK) take_posted(*posted);
        return result;
    }
    static void run_posted(void* user) {
        auto& posted = *static_cast<Posted*>(user);
        const flowd_host* raw = posted.host->raw_;
        const std::function<void()> work = posted.host->take_posted(posted);
        detail::guarded(raw, "a posted call", work);
    }
    std::function<void()> take_posted(Posted& posted) {
        const std::lock_guard lock(posts_mutex_);
        std::function<void()> work = std::move(posted.work);
        posts_.erase(posted.self);
        return work;
    }

    flowd_metric open_metric(std::uint32_t type, std::string_view name, std::string_view help, const Labels& labels,
                             std::string_view unit, std::span<const double> bounds) const {
        std::vector<flowd_label> raw_labels;
        raw_labels.reserve(labels.size());
        for (const auto& [label, value] : labels) raw_labels.push_back({sizeof(flowd_label), 0, to_c(label), to_c(value)});
        flowd_metric_info info{};
        info.size = sizeof info;
        info.type = type;
        info.name = to_c(name);
        info.help = to_c(help);
        info.unit = to_c(unit);
        info.labels = raw_labels.data();
        info.label_count = raw_labels.size();
        info.label_stride = sizeof(flowd_label);
        info.bounds = bounds.data();
        info.bound_count = bounds.size();
        flowd_metric metric = 0;
        if (api_.metric_open(raw_, &info, &metric) != FLOWD_OK) {
            warning("the core refused the metric " + std::string(name) + ": it is not counted");
            return 0;
        }
        return metric;
    }

    const flowd_host* raw_;
    flowd_host api_;
    friend class Delivery;

    std::mutex posts_mutex_;
    std::list<Posted> posts_;
};

inline Result<void> Delivery::mark(std::function<void()> passed) const {
    if (ext_.mark == nullptr) return Error{FLOWD_UNSUPPORTED, "the core does not offer flowd.delivery/1"};
    const flowd_result result = host_->hand_in(
        std::move(passed), [this](Host::Posted* posted) { return ext_.mark(host_->raw_, &Host::run_posted, posted); });
    if (result < 0) return Error{result, "the core refused a mark"};
    return {};
}

}  // namespace flowd
