// SPDX-License-Identifier: Apache-2.0
// flowd/testing/fake_host.hpp: a fake of the core for one instance, for unit tests without a daemon.
//
// It records the calls of the instance, answers emit as configured, and runs real watches, posts and timers when the test
// asks for it:
//   FakeHost host;  ...  ASSERT_TRUE(host.run_until([&] { return host.events().size() == 3; }));
// Calls tagged [any] are for any thread. All others, and the test itself, are for one thread.
#pragma once

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/abi/host.h"
#include "flowd/event.hpp"
#include "flowd/problem.hpp"
#include "flowd/testing/fake_extensions.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::testing {

/// An event that was emitted. The pointers of `event` are null: their contents are in the other members.
struct RecordedEvent {
    flowd_event event{};
    std::string application;
    std::string rule;
    std::vector<std::pair<std::string, std::string>> attachments;
    std::vector<std::string> kept;  ///< ids of those with FLOWD_ATTACHMENT_KEEP
    const flowd_event* operator->() const { return &event; }
};

struct RecordedRefusal {
    std::string reason;
    std::string sender;
    std::string first;
};

struct RecordedLine {
    flowd_level level = FLOWD_LEVEL_INFO;
    std::string text;
};

struct RecordedMetric {
    std::uint32_t type = 0;
    double value = 0;                  ///< counters and gauges
    std::vector<double> observations;  ///< histograms
    int holders = 0;                   ///< 0: removed
};

class FakeHost : public FakeExtensions {
  public:
    using Clock = std::chrono::steady_clock;

    explicit FakeHost(std::string instance = "test")
        : instance_(std::move(instance)),
          epoll_(check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
          wake_(check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
          timer_(check(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create")) {
        add_fd(wake_.get(), EPOLLIN, wake_token);
        add_fd(timer_.get(), EPOLLIN, timer_token);
        fill();
        later_ = [this](std::function<void()> work) { at_dispatch(std::move(work)); };
    }
    FakeHost(const FakeHost&) = delete;
    FakeHost& operator=(const FakeHost&) = delete;
    ~FakeHost() = default;

    [[nodiscard]] const flowd_host* raw() const { return &host_; }
    /// Changes what the instance sees, for tests with older or faulty cores.
    [[nodiscard]] flowd_host& mutable_raw() { return host_; }

    // The calls that the instance made. [any]
    [[nodiscard]] std::vector<RecordedEvent> events() const { return locked(events_); }
    [[nodiscard]] std::vector<RecordedLine> lines() const { return locked(lines_); }
    [[nodiscard]] std::vector<Problem> problems() const { return locked(problems_); }
    [[nodiscard]] std::vector<RecordedRefusal> refusals() const { return locked(refusals_); }
    /// Number of calls of `ready`.
    [[nodiscard]] std::size_t readies() const { return locked(readies_); }
    /// Number of events that it reported as lost. The texts are in lines().
    [[nodiscard]] std::uint64_t lost() const { return locked(lost_); }
    [[nodiscard]] bool logged(std::string_view part) const {
        const std::lock_guard lock(mutex_);
        return std::any_of(lines_.begin(), lines_.end(),
                           [&](const RecordedLine& line) { return line.text.find(part) != std::string::npos; });
    }
    /// A series by name and, if it has labels, those: "x_total", "x_total{reason=\"bad\"}". Not for removed series.
    [[nodiscard]] std::optional<RecordedMetric> metric(const std::string& series) const {
        const std::lock_guard lock(mutex_);
        const auto found = metrics_.find(series);
        if (found == metrics_.end() || found->second.holders == 0) return std::nullopt;
        return found->second;
    }
    void forget() {
        const std::lock_guard lock(mutex_);
        events_.clear();
        lines_.clear();
        problems_.clear();
        refusals_.clear();
    }

    // The result of emit. [any]
    /// Ends the flow of this tuple for a reason other than the instance: events that name its id are discarded.
    void end_flow(const flowd_key& key) {
        const std::lock_guard lock(mutex_);
        flow_ids_.erase(tuple_of(key));
    }
    /// Accepts `events` more events, then returns `refusal`: FLOWD_FULL, FLOWD_LIMIT, FLOWD_INVALID, FLOWD_STOPPED.
    void accept(std::size_t events, flowd_result refusal = FLOWD_FULL) {
        const std::lock_guard lock(mutex_);
        room_ = events;
        refusal_ = refusal;
    }
    void accept_all() {
        const std::lock_guard lock(mutex_);
        room_.reset();
    }

    // The loop.
    /// Makes pending calls until `done` returns true. False if the deadline passes first.
    template <typename Predicate>
    bool run_until(Predicate done, std::chrono::milliseconds deadline = std::chrono::seconds(10)) {
        const auto end = Clock::now() + deadline;
        while (!done()) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
            if (left.count() <= 0) return false;
            turn(static_cast<int>(left.count()));
        }
        return true;
    }
    /// Makes the calls that are pending now.
    void poll() { turn(0); }
    /// Advances the clock of timers without waiting, then makes the pending calls.
    void advance(std::chrono::nanoseconds time) {
        offset_ += time;
        arm();
        poll();
    }
    /// [any] Runs `work` on the thread that dispatches.
    void at_dispatch(std::function<void()> work) {
        {
            const std::lock_guard lock(mutex_);
            work_.push_back(std::move(work));
        }
        wake();
    }
    /// [any] For own loops: dispatch runs the function passed to on_stop, then returns FLOWD_STOPPED.
    void request_stop() {
        {
            const std::lock_guard lock(mutex_);
            stop_requested_ = true;
        }
        wake();
    }
    void on_stop(std::function<void()> stop) { stop_ = std::move(stop); }
    /// From now on emit and post return FLOWD_STOPPED.
    void set_stopped() {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
    }

  private:
    static constexpr std::uint64_t wake_token = 1;
    static constexpr std::uint64_t timer_token = 2;
    static constexpr std::uint64_t first_handle = 16;

    struct WatchState {
        int fd = -1;
        flowd_io_callback callback = nullptr;
        void* user = nullptr;
    };
    struct TimerState {
        Clock::time_point due;
        std::chrono::nanoseconds period{};
        bool armed = true;
        flowd_callback callback = nullptr;
        void* user = nullptr;
    };

    static int check(int fd, const char* what) {
        if (fd < 0) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
        return fd;
    }
    static FakeHost& of(const flowd_host* host) { return static_cast<FakeHost&>(FakeExtensions::of(host)); }
    template <typename T>
    T locked(const T& member) const {
        const std::lock_guard lock(mutex_);
        return member;
    }
    static std::uint32_t to_epoll(std::uint32_t conditions) {
        return ((conditions & FLOWD_IO_READ) != 0 ? static_cast<std::uint32_t>(EPOLLIN) : 0u) |
               ((conditions & FLOWD_IO_WRITE) != 0 ? static_cast<std::uint32_t>(EPOLLOUT) : 0u);
    }

    bool add_fd(int fd, std::uint32_t events, std::uint64_t token) {
        epoll_event event{};
        event.events = events;
        event.data.u64 = token;
        return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
    }
    void wake() const {
        const std::uint64_t one = 1;
        (void)!::write(wake_.get(), &one, sizeof one);
    }
    [[nodiscard]] Clock::time_point now() const { return Clock::now() + offset_; }

    void turn(int timeout_ms) {
        std::array<epoll_event, 16> ready{};
        const int count = epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), timeout_ms);
        for (int i = 0; i < count; ++i) {
            const auto& event = ready[static_cast<std::size_t>(i)];
            const std::uint64_t token = event.data.u64;
            if (token == wake_token || token == timer_token) {
                std::uint64_t ignored = 0;
                (void)!::read(token == wake_token ? wake_.get() : timer_.get(), &ignored, sizeof ignored);
                continue;
            }
            const auto watch = watches_.find(token);  // an earlier callback may have ended it
            if (watch == watches_.end()) continue;
            std::uint32_t conditions = 0;
            if ((event.events & (EPOLLIN | EPOLLRDHUP)) != 0) conditions |= FLOWD_IO_READ;
            if ((event.events & EPOLLOUT) != 0) conditions |= FLOWD_IO_WRITE;
            if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) conditions |= FLOWD_IO_ERROR;
            const WatchState state = watch->second;
            state.callback(state.user, state.fd, conditions);
        }
        run_work();
        run_timers();
    }
    void run_work() {
        std::deque<std::function<void()>> work;
        {
            const std::lock_guard lock(mutex_);
            work.swap(work_);
        }
        for (const auto& one : work) one();
    }
    void run_timers() {
        const auto limit = now();
        std::vector<std::uint64_t> due;
        for (const auto& [id, timer] : timers_)
            if (timer.armed && timer.due <= limit) due.push_back(id);
        for (const std::uint64_t id : due) {
            const auto found = timers_.find(id);
            if (found == timers_.end()) continue;
            TimerState& timer = found->second;
            timer.armed = timer.period.count() > 0;
            timer.due = now() + timer.period;
            const auto callback = timer.callback;
            callback(timer.user);
        }
        arm();
    }
    void arm() {
        std::optional<Clock::time_point> first;
        for (const auto& [id, timer] : timers_)
            if (timer.armed && (!first || timer.due < *first)) first = timer.due;
        itimerspec spec{};
        if (first) {
            const auto left = std::max<std::int64_t>(1, std::chrono::nanoseconds(*first - now()).count());
            spec.it_value.tv_sec = left / 1'000'000'000;
            spec.it_value.tv_nsec = left % 1'000'000'000;
        }
        timerfd_settime(timer_.get(), 0, &spec, nullptr);
    }

    flowd_result emit(const flowd_event* events, std::size_t count, std::size_t stride, std::size_t& accepted,
                      std::uint64_t* flow_ids) {
        const std::lock_guard lock(mutex_);
        accepted = 0;
        if (stopped_) return FLOWD_STOPPED;
        for (const flowd_event& event : SizedRange<flowd_event>(events, count, stride)) {
            if (room_ && *room_ == 0) return refusal_;
            if (event.kind < FLOWD_EVENT_START || event.kind > FLOWD_EVENT_CATCH_ALL_CLEAR) return FLOWD_INVALID;
            if (room_) --*room_;
            RecordedEvent recorded{
                event, std::string(to_view(event.application)), std::string(to_view(event.rule)), {}, {}};
            for (const flowd_attachment& one : EventView(event).attachments()) {
                recorded.attachments.emplace_back(to_view(one.id), to_view(one.bytes));
                if ((one.flags & FLOWD_ATTACHMENT_KEEP) != 0) recorded.kept.emplace_back(to_view(one.id));
            }
            recorded.event.application = {};
            recorded.event.rule = {};
            recorded.event.attachments = nullptr;
            recorded.event.attachment_count = 0;
            recorded.event.samples = nullptr;
            recorded.event.sample_count = 0;
            events_.push_back(std::move(recorded));
            const std::uint64_t flow_id = flow_id_of(event);
            if (flow_ids != nullptr) flow_ids[accepted] = flow_id;
            ++accepted;
        }
        return FLOWD_OK;
    }

    static std::string tuple_of(const flowd_key& key) {
        return std::string(reinterpret_cast<const char*>(&key), sizeof key);
    }
    /// As in the core: one id per tuple until the flow ends; 0 for an event of a flow that has ended.
    std::uint64_t flow_id_of(const flowd_event& event) {
        if (event.kind >= FLOWD_EVENT_CATCH_ALL) return 0;
        const auto known = flow_ids_.find(tuple_of(event.key));
        const std::uint64_t living = known == flow_ids_.end() ? 0 : known->second;
        if (event.flow_id != 0 && event.flow_id != living) return 0;
        if (event.kind == FLOWD_EVENT_END && living != 0) flow_ids_.erase(known);
        if (living != 0 || event.kind == FLOWD_EVENT_END) return living;
        return flow_ids_[tuple_of(event.key)] = ++last_flow_id_;
    }

    RecordedMetric* metric_of(flowd_metric handle) {
        const auto found = handles_.find(handle);
        return found == handles_.end() ? nullptr : found->second;
    }
    flowd_result open_metric(const flowd_metric_info& info, flowd_metric* metric) {
        const std::lock_guard lock(mutex_);
        std::string series(to_view(info.name));
        std::string labels;
        for (const flowd_label& label : SizedRange<flowd_label>(info.labels, info.label_count, info.label_stride))
            labels += (labels.empty() ? "" : ",") + std::string(to_view(label.name)) + "=\"" +
                      std::string(to_view(label.value)) + "\"";
        if (!labels.empty()) series += "{" + labels + "}";
        auto& recorded = metrics_[series];
        if (recorded.holders > 0 && recorded.type != info.type) return FLOWD_INVALID;
        if (recorded.holders == 0) recorded = {};
        recorded.type = info.type;
        ++recorded.holders;
        *metric = ++last_metric_;
        handles_[*metric] = &recorded;  // elements of a map do not move
        return FLOWD_OK;
    }

    void fill() {
        host_.size = sizeof host_;
        host_.abi_major = FLOWD_ABI_MAJOR;
        host_.abi_minor = FLOWD_ABI_MINOR;
        host_.context = static_cast<FakeExtensions*>(this);
        host_.instance = instance_.c_str();
        host_.core_version = "fake";
        host_.log = [](const flowd_host* host, flowd_level level, flowd_string message) {
            const std::lock_guard lock(of(host).mutex_);
            of(host).lines_.push_back({level, std::string(to_view(message))});
        };
        host_.report = [](const flowd_host* host, const flowd_problem* raw) {
            const auto problem = copy_sized<flowd_problem>(raw);
            const std::lock_guard lock(of(host).mutex_);
            of(host).problems_.push_back({std::string(to_view(problem.option)), std::string(to_view(problem.message)),
                                          std::string(to_view(problem.hint)), std::string(to_view(problem.found)),
                                          problem.level, problem.result});
        };
        host_.emit = [](const flowd_host* host, const flowd_event* events, std::size_t count, std::size_t stride,
                        std::size_t* accepted, std::uint64_t* flow_ids) {
            std::size_t ignored = 0;
            return of(host).emit(events, count, stride, accepted == nullptr ? ignored : *accepted, flow_ids);
        };
        host_.state_directory = "/nonexistent/state";
        host_.runtime_directory = "/nonexistent/runtime";
        host_.refused = [](const flowd_host* host, const flowd_refusal* raw) -> flowd_result {
            const auto refusal = copy_sized<flowd_refusal>(raw);
            if (refusal.reason.length == 0) return FLOWD_INVALID;
            const std::lock_guard lock(of(host).mutex_);
            of(host).refusals_.push_back({std::string(to_view(refusal.reason)), std::string(to_view(refusal.sender)),
                                          std::string(to_view(refusal.first))});
            return FLOWD_OK;
        };
        host_.sender_id = [](const flowd_host* host, flowd_bytes identity) -> std::uint64_t {
            const std::lock_guard lock(of(host).mutex_);
            std::string name(to_view(identity));
            if (name.size() == 16 && Address(reinterpret_cast<const std::uint8_t(&)[16]>(*name.data())).is_loopback())
                name = "loopback";
            return of(host).senders_.try_emplace(std::move(name), of(host).senders_.size() + 1).first->second;
        };
        host_.lost = [](const flowd_host* host, std::uint64_t count, flowd_string what) {
            of(host).raw()->log(host, FLOWD_LEVEL_ERROR, to_c(std::to_string(count) + " " + std::string(to_view(what))));
            const std::lock_guard lock(of(host).mutex_);
            of(host).lost_ += count;
        };
        host_.ready = [](const flowd_host* host) {
            const std::lock_guard lock(of(host).mutex_);
            ++of(host).readies_;
        };
        host_.post = [](const flowd_host* host, flowd_callback callback, void* user) -> flowd_result {
            {
                const std::lock_guard lock(of(host).mutex_);
                if (of(host).stopped_) return FLOWD_STOPPED;
                of(host).work_.push_back([callback, user] { callback(user); });
            }
            of(host).wake();
            return FLOWD_OK;
        };
        host_.loop_fd = [](const flowd_host* host) { return of(host).epoll_.get(); };
        host_.dispatch = [](const flowd_host* host) -> flowd_result {
            FakeHost& self = of(host);
            self.turn(0);
            if (!self.locked(self.stop_requested_)) return FLOWD_OK;
            if (self.stop_) std::exchange(self.stop_, nullptr)();
            return FLOWD_STOPPED;
        };
        host_.watch = [](const flowd_host* host, int fd, std::uint32_t conditions, flowd_io_callback callback, void* user,
                         flowd_watch* watch) -> flowd_result {
            FakeHost& self = of(host);
            const std::uint64_t id = self.next_handle_++;
            if (!self.add_fd(fd, to_epoll(conditions), id)) return errno == EEXIST ? FLOWD_BUSY : FLOWD_INVALID;
            self.watches_[id] = {fd, callback, user};
            *watch = id;
            return FLOWD_OK;
        };
        host_.rewatch = [](const flowd_host* host, flowd_watch watch, std::uint32_t conditions) -> flowd_result {
            FakeHost& self = of(host);
            const auto found = self.watches_.find(watch);
            if (found == self.watches_.end()) return FLOWD_INVALID;
            epoll_event event{};
            event.events = to_epoll(conditions);
            event.data.u64 = found->first;
            return epoll_ctl(self.epoll_.get(), EPOLL_CTL_MOD, found->second.fd, &event) == 0 ? FLOWD_OK : FLOWD_INVALID;
        };
        host_.unwatch = [](const flowd_host* host, flowd_watch watch) {
            FakeHost& self = of(host);
            const auto found = self.watches_.find(watch);
            if (found == self.watches_.end()) return;
            epoll_ctl(self.epoll_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
            self.watches_.erase(found);
        };
        host_.timer = [](const flowd_host* host, std::int64_t delay, std::int64_t period, flowd_callback callback,
                         void* user, flowd_timer* timer) -> flowd_result {
            if (delay < 0 || period < 0) return FLOWD_INVALID;
            FakeHost& self = of(host);
            const std::uint64_t id = self.next_handle_++;
            self.timers_[id] = {self.now() + std::chrono::nanoseconds(delay), std::chrono::nanoseconds(period), true,
                                callback, user};
            *timer = id;
            self.arm();
            return FLOWD_OK;
        };
        host_.cancel = [](const flowd_host* host, flowd_timer timer) {
            of(host).timers_.erase(timer);
            of(host).arm();
        };
        fill_metrics();
        host_.extension = [](const flowd_host* host, const char* id) { return of(host).find_extension(id); };
    }

    void fill_metrics() {
        host_.metric_open = [](const flowd_host* host, const flowd_metric_info* info, flowd_metric* metric) {
            return of(host).open_metric(copy_sized<flowd_metric_info>(info), metric);
        };
        host_.metric_add = [](const flowd_host* host, flowd_metric metric, double amount) {
            const std::lock_guard lock(of(host).mutex_);
            if (auto* recorded = of(host).metric_of(metric)) recorded->value += amount;
        };
        host_.metric_set = [](const flowd_host* host, flowd_metric metric, double value) {
            const std::lock_guard lock(of(host).mutex_);
            if (auto* recorded = of(host).metric_of(metric)) recorded->value = value;
        };
        host_.metric_observe = [](const flowd_host* host, flowd_metric metric, double value) {
            const std::lock_guard lock(of(host).mutex_);
            if (auto* recorded = of(host).metric_of(metric)) recorded->observations.push_back(value);
        };
        host_.metric_remove = [](const flowd_host* host, flowd_metric metric) {
            const std::lock_guard lock(of(host).mutex_);
            if (auto* recorded = of(host).metric_of(metric)) --recorded->holders;
            of(host).handles_.erase(metric);
        };
    }

    std::string instance_;
    flowd_host host_{};
    UniqueFd epoll_;
    UniqueFd wake_;
    UniqueFd timer_;

    mutable std::mutex mutex_;  // guards the members up to the blank line
    std::vector<RecordedEvent> events_;
    std::vector<RecordedLine> lines_;
    std::vector<Problem> problems_;
    std::vector<RecordedRefusal> refusals_;
    std::size_t readies_ = 0;
    std::uint64_t lost_ = 0;
    std::map<std::string, std::uint64_t> senders_;
    std::map<std::string, std::uint64_t> flow_ids_;
    std::uint64_t last_flow_id_ = 0;
    std::map<std::string, RecordedMetric> metrics_;
    std::map<flowd_metric, RecordedMetric*> handles_;
    flowd_metric last_metric_ = 0;
    std::deque<std::function<void()>> work_;
    std::optional<std::size_t> room_;
    flowd_result refusal_ = FLOWD_FULL;
    bool stopped_ = false;
    bool stop_requested_ = false;

    std::function<void()> stop_;
    std::chrono::nanoseconds offset_{};
    std::uint64_t next_handle_ = first_handle;
    std::map<std::uint64_t, WatchState> watches_;
    std::map<std::uint64_t, TimerState> timers_;
};

}  // namespace flowd::testing
