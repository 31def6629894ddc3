// SPDX-License-Identifier: Apache-2.0
#include "core/host/host.hpp"

#include <algorithm>
#include <new>

#include "core/base/guarded.hpp"
#include "core/base/version.hpp"
#include "core/config/component_lookup.hpp"
#include "core/host/host_extensions.hpp"
#include "flowd/sized.hpp"

namespace flowd::core {

namespace {

constexpr std::size_t max_line = 4096;  // of a log line, bytes; longer lines are truncated
constexpr std::size_t max_labels = 32;
constexpr std::size_t max_bounds = 256;

std::uint64_t next_id() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
}

std::uint64_t pack(AnnouncerId id) {
    return (static_cast<std::uint64_t>(id.generation) << 32) | id.slot;
}
AnnouncerId unpack(std::uint64_t packed) {
    return {static_cast<std::uint32_t>(packed), static_cast<std::uint32_t>(packed >> 32)};
}

/// Counts a running call, so that stop() can wait for its end.
class UnderWay {
  public:
    explicit UnderWay(std::atomic<std::uint32_t>& count) : count_(count) { count_.fetch_add(1, std::memory_order_seq_cst); }
    /// The count includes it already.
    UnderWay(std::atomic<std::uint32_t>& count, std::adopt_lock_t) : count_(count) {}
    ~UnderWay() { count_.fetch_sub(1, std::memory_order_release); }
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;

  private:
    std::atomic<std::uint32_t>& count_;
};

bool are_conditions(std::uint32_t conditions) {
    return (conditions & ~std::uint32_t{FLOWD_IO_READ | FLOWD_IO_WRITE | FLOWD_IO_ERROR}) == 0;
}

}  // namespace

Host::Host(Services services, std::string key, std::string label, std::uint32_t kind, Loop& loop, Behind behind)
    : services_(services),
      key_(std::move(key)),
      label_(std::move(label)),
      kind_(kind),
      id_(next_id()),
      state_directory_(instance_directory(services_.directories.state, kind_name(kind_), key_)),
      runtime_directory_(instance_directory(services_.directories.runtime, kind_name(kind_), key_)),
      loop_(&loop),
      behind_(std::move(behind)),
      logger_(services_.logging.logger(key_)),
      refusal_log_(services_.refusals, services_.metrics, *logger_, label_) {
    abi_.size = sizeof abi_;
    abi_.abi_major = FLOWD_ABI_MAJOR;
    abi_.abi_minor = FLOWD_ABI_MINOR;
    abi_.context = this;
    abi_.instance = key_.c_str();
    abi_.core_version = version();
    if (!state_directory_.empty()) abi_.state_directory = state_directory_.c_str();
    if (!runtime_directory_.empty()) abi_.runtime_directory = runtime_directory_.c_str();
    abi_.log = [](const flowd_host* host, flowd_level level, flowd_string message) {
        guarded([&] { of(host).log(level, message); });
    };
    abi_.report = [](const flowd_host* host, const flowd_problem* problem) {
        Host& self = of(host);
        if (problem == nullptr || !self.on_thread("report")) return;
        guarded([&] { self.behind_.report(copy_sized<flowd_problem>(problem)); });
    };
    abi_.refused = &Host::refused;
    abi_.lost = [](const flowd_host* host, uint64_t count, flowd_string what) {
        guarded([&] { of(host).lost(count, to_view(what)); });
    };
    abi_.sender_id = [](const flowd_host* host, flowd_bytes identity) {
        return of(host).services_.senders.id_of(to_view(identity));
    };
    abi_.emit = &Host::emit;
    abi_.ready = &Host::ready;
    abi_.post = &Host::post;
    abi_.loop_fd = [](const flowd_host* host) { return of(host).on_thread("loop_fd") ? of(host).loop_->fd() : -1; };
    abi_.dispatch = [](const flowd_host* host) -> flowd_result {
        return of(host).on_thread("dispatch") ? of(host).behind_.dispatch() : static_cast<flowd_result>(FLOWD_INVALID);
    };
    abi_.watch = &Host::watch;
    abi_.rewatch = [](const flowd_host* host, flowd_watch watch, uint32_t conditions) -> flowd_result {
        if (!of(host).on_thread("rewatch") || !are_conditions(conditions)) return FLOWD_INVALID;
        return guarded([&] { return of(host).loop_->rewatch(watch, conditions); });
    };
    abi_.unwatch = [](const flowd_host* host, flowd_watch watch) {
        if (of(host).on_thread("unwatch")) of(host).loop_->unwatch(watch);
    };
    abi_.timer = &Host::timer;
    abi_.cancel = [](const flowd_host* host, flowd_timer timer) {
        if (of(host).on_thread("cancel")) of(host).loop_->cancel(timer);
    };
    abi_.metric_open = &Host::metric_open;
    abi_.metric_add = [](const flowd_host* host, flowd_metric metric, double amount) {
        of(host).with_metric(metric, [&](MetricSlot& slot) {
            if (Metric* found = slot.metric.load(std::memory_order_acquire)) found->add(amount);
        });
    };
    abi_.metric_set = [](const flowd_host* host, flowd_metric metric, double value) {
        of(host).with_metric(metric, [&](MetricSlot& slot) { slot.set(value); });
    };
    abi_.metric_observe = [](const flowd_host* host, flowd_metric metric, double value) {
        of(host).with_metric(metric, [&](MetricSlot& slot) {
            if (Metric* found = slot.metric.load(std::memory_order_acquire)) found->observe(value);
        });
    };
    abi_.metric_remove = [](const flowd_host* host, flowd_metric metric) {
        guarded([&] { of(host).remove_metric(metric); });
    };
    abi_.extension = [](const flowd_host*, const char* id) { return core_extension(id); };
}

Host::~Host() = default;

struct Host::Subscription {
    flowd_callback callback;
    void* user;
    std::atomic<bool> due{false};
    bool ended = false;  // [instance]
};

flowd_result Host::on_change(const std::string& what, flowd_callback callback, void* user,
                             const std::function<void(Watchers::Tell)>& watch) {
    constexpr std::size_t most = 256;
    if (const auto before = subscriptions_.find(what); before != subscriptions_.end()) {
        before->second->ended = true;
        subscriptions_.erase(before);
    }
    if (callback == nullptr) {
        watch({});
        return FLOWD_OK;
    }
    if (subscriptions_.size() >= most) return FLOWD_LIMIT;
    const auto made = std::make_shared<Subscription>();
    made->callback = callback;
    made->user = user;
    subscriptions_[what] = made;
    watch([this, made] {
        if (made->due.exchange(true)) return;
        (void)loop_->post([this, made] {
            made->due = false;
            if (!made->ended) behind_.guard("a change's callback", [&] { made->callback(made->user); });
        });
    });
    return FLOWD_OK;
}

void Host::set_announcer(AnnouncerId announcer) {
    announcer_.store(pack(announcer), std::memory_order_release);
}

void Host::set_queue(std::shared_ptr<BackendQueue> queue) {
    const std::lock_guard lock(queue_mutex_);
    queue_ = std::move(queue);
}

void Host::stop() {
    stopped_.store(true, std::memory_order_seq_cst);
    // A call of emit never blocks, so this wait is short.
    while (under_way_.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
    set_queue(nullptr);
}

void Host::retire() {
    stop();
    services_.descriptors.release(id_);
    services_.shared.release(id_);
    services_.interfaces.release(id_);
    refusal_log_.close();
    const std::lock_guard lock(mutex_);
    retired_ = true;
    loop_ = nullptr;
    behind_ = {};
    for (std::size_t i = 0; i < metric_slots_; ++i) {
        MetricSlot& slot = metric_pages_[i / slots_per_page][i % slots_per_page];
        if (slot.metric.exchange(nullptr) != nullptr) services_.metrics.remove(slot.keeper);
    }
}

bool Host::on_thread(const char* call) {
    if (std::this_thread::get_id() == thread_ && loop_ != nullptr) return true;
    logger_->error("{} was called from another thread than the instance's own, or after destroy: ignored", call);
    return false;
}

void Host::log(flowd_level level, flowd_string message) {
    const auto severity = to_spdlog(level);
    if (!logger_->should_log(severity) || message.data == nullptr) return;
    const std::string_view line(message.data, std::min(message.length, max_line));
    if (severity < spdlog::level::info) {
        logger_->log(severity, line);
        return;
    }
    const LogLimiter::Verdict verdict = limiter_.judge(line);
    if (!verdict.pass) return;
    if (verdict.suppressed > 0)
        logger_->log(severity, "{} (and {} more like this)", line, verdict.suppressed);
    else
        logger_->log(severity, line);
}

void Host::lost(std::uint64_t count, std::string_view what) {
    if (count == 0) return;
    lost_ += count;
    log(FLOWD_LEVEL_ERROR, to_c(fmt::format("{} {}", count, what)));
}

flowd_result Host::refused(const flowd_host* host, const flowd_refusal* refusal) {
    if (refusal == nullptr) return FLOWD_INVALID;
    const auto given = copy_sized<flowd_refusal>(refusal);
    const std::string_view reason = to_view(given.reason);
    if (!Refusals::is_reason(reason)) return FLOWD_INVALID;
    return guarded([&]() -> flowd_result {
        Host& self = of(host);
        self.refusal_log_.add(reason, to_view(given.sender), to_view(given.first));
        self.services_.bus.observe_refusal(self.label_, reason, to_view(given.sender), to_view(given.first));
        return FLOWD_OK;
    });
}

flowd_result Host::emit(const flowd_host* host, const flowd_event* events, size_t count, size_t stride, size_t* accepted,
                        uint64_t* flow_ids) {
    Host& self = of(host);
    size_t ignored = 0;
    size_t& taken = accepted != nullptr ? *accepted : ignored;
    taken = 0;
    if (self.kind_ != FLOWD_PLUGIN) return FLOWD_UNSUPPORTED;
    const UnderWay call(self.under_way_);
    if (self.stopped_.load(std::memory_order_seq_cst)) return FLOWD_STOPPED;
    const std::uint64_t announcer = self.announcer_.load(std::memory_order_acquire);
    if (announcer == 0) return FLOWD_ERROR;  // before start
    if (events == nullptr && count > 0) return FLOWD_INVALID;
    return guarded([&] { return self.services_.bus.emit(unpack(announcer), events, count, stride, &taken, flow_ids); });
}

void Host::ready(const flowd_host* host) {
    Host& self = of(host);
    if (self.kind_ != FLOWD_BACKEND) return;
    const UnderWay call(self.under_way_);
    if (self.stopped_.load(std::memory_order_seq_cst)) return;
    self.ready_ = true;  // also if on_events has not returned FLOWD_FULL yet
    if (self.held_) self.loop_->wake();
}

flowd_result Host::mark(flowd_callback callback, void* user) {
    if (callback == nullptr) return FLOWD_INVALID;
    if (kind_ != FLOWD_PLUGIN) return FLOWD_UNSUPPORTED;
    const UnderWay call(under_way_);
    if (stopped_.load(std::memory_order_seq_cst)) return FLOWD_STOPPED;
    const std::uint64_t announcer = announcer_.load(std::memory_order_acquire);
    if (announcer == 0) return FLOWD_ERROR;  // before start
    // One lock for both, so that this queue and the bus have the marks in the same order.
    const std::lock_guard lock(marks_mutex_);
    if (marks_.size() >= max_marks) return FLOWD_LIMIT;
    marks_.push_back({callback, user});
    const flowd_result result = services_.bus.mark(unpack(announcer));
    if (result != FLOWD_OK) marks_.pop_back();
    return result;
}

flowd_result Host::acknowledge(std::uint64_t settled) {
    if (kind_ != FLOWD_BACKEND) return FLOWD_UNSUPPORTED;
    const UnderWay call(under_way_);
    if (stopped_.load(std::memory_order_seq_cst)) return FLOWD_STOPPED;
    std::shared_ptr<BackendQueue> queue;
    {
        const std::lock_guard lock(queue_mutex_);
        queue = queue_;
    }
    if (queue == nullptr) return FLOWD_ERROR;  // before start, or a successor has everything
    return guarded([&]() -> flowd_result {
        queue->acknowledge(settled);
        return FLOWD_OK;
    });
}

flowd_result Host::request(std::vector<std::string> words, flowd_answered answered, void* user) {
    const UnderWay call(under_way_);
    if (stopped_.load(std::memory_order_seq_cst)) return FLOWD_STOPPED;
    if (requests_.fetch_add(1) >= max_requests) return --requests_, FLOWD_LIMIT;
    const bool asked =
        services_.requests.ask(std::move(words), [this, answered, user](flowd_result result, const std::string& answer) {
            const UnderWay pending(requests_, std::adopt_lock);  // when it has ended, the host may be destroyed
            take_answer(result, answer, answered, user);
        });
    if (!asked) --requests_;
    return asked ? FLOWD_OK : FLOWD_STOPPED;
}

void Host::take_answer(flowd_result result, const std::string& answer, flowd_answered answered, void* user) {
    const UnderWay reply(under_way_);
    if (stopped_.load(std::memory_order_seq_cst)) return;
    (void)loop_->post([this, answered, user, result, answer] {
        behind_.guard("an answer's callback", [&] { answered(user, result, to_c(answer)); });
    });
}

void Host::call_mark() {
    Mark mark{};
    {
        const std::lock_guard lock(marks_mutex_);
        if (marks_.empty()) return;
        mark = marks_.front();
        marks_.pop_front();
    }
    behind_.guard("a mark's callback", [&] { mark.callback(mark.user); });
}

flowd_result Host::post(const flowd_host* host, flowd_callback callback, void* user) {
    Host& self = of(host);
    if (callback == nullptr) return FLOWD_INVALID;
    const UnderWay call(self.under_way_);
    if (self.stopped_.load(std::memory_order_seq_cst)) return FLOWD_STOPPED;
    return guarded([&]() -> flowd_result {
        const bool posted =
            self.loop_->post([&self, callback, user] { self.behind_.guard("a posted callback", [&] { callback(user); }); });
        return posted ? FLOWD_OK : FLOWD_STOPPED;
    });
}

flowd_result Host::watch(const flowd_host* host, int fd, uint32_t conditions, flowd_io_callback callback, void* user,
                         flowd_watch* watch) {
    Host& self = of(host);
    if (!self.on_thread("watch")) return FLOWD_INVALID;
    if (callback == nullptr || watch == nullptr || fd < 0 || !are_conditions(conditions)) return FLOWD_INVALID;
    return guarded([&]() -> flowd_result {
        auto id = self.loop_->watch(fd, conditions, [&self, callback, user](int ready_fd, std::uint32_t ready) {
            self.behind_.guard("a watch's callback", [&] { callback(user, ready_fd, ready); });
        });
        if (!id) {
            self.logger_->error("watch: {}", id.error().message);
            return id.error().code;
        }
        *watch = *id;
        return FLOWD_OK;
    });
}

flowd_result Host::timer(const flowd_host* host, int64_t delay, int64_t period, flowd_callback callback, void* user,
                         flowd_timer* timer) {
    Host& self = of(host);
    if (!self.on_thread("timer")) return FLOWD_INVALID;
    if (callback == nullptr || timer == nullptr || delay < 0 || period < 0) return FLOWD_INVALID;
    return guarded([&]() -> flowd_result {
        *timer = self.loop_->timer(
            std::chrono::nanoseconds(delay), std::chrono::nanoseconds(period),
            [&self, callback, user] { self.behind_.guard("a timer's callback", [&] { callback(user); }); });
        return FLOWD_OK;
    });
}

flowd_result Host::metric_open(const flowd_host* host, const flowd_metric_info* info, flowd_metric* metric) {
    Host& self = of(host);
    if (info == nullptr || metric == nullptr) return FLOWD_INVALID;
    *metric = 0;
    const flowd_metric_info copy = copy_sized<flowd_metric_info>(info);
    if (copy.type < FLOWD_METRIC_COUNTER || copy.type > FLOWD_METRIC_HISTOGRAM) return FLOWD_UNSUPPORTED;
    if (copy.label_count > max_labels || (copy.label_count > 0 && copy.label_stride < sizeof(std::uint32_t)) ||
        copy.bound_count > max_bounds || (copy.labels == nullptr && copy.label_count > 0) ||
        (copy.bounds == nullptr && copy.bound_count > 0))
        return FLOWD_INVALID;

    return guarded([&] {
        MetricInfo wanted{static_cast<MetricType>(copy.type),
                          std::string(to_view(copy.name)),
                          std::string(to_view(copy.help)),
                          std::string(to_view(copy.unit)),
                          {},
                          {}};
        wanted.labels.emplace_back("flowd_instance", self.label_);
        for (const flowd_label& label : SizedRange<flowd_label>(copy.labels, copy.label_count, copy.label_stride))
            wanted.labels.emplace_back(to_view(label.name), to_view(label.value));
        wanted.bounds.assign(copy.bounds, copy.bounds + copy.bound_count);
        return self.open_metric(std::move(wanted), metric);
    });
}

void Host::MetricSlot::set(double value) {
    Metric* const series = metric.load(std::memory_order_acquire);
    if (series == nullptr) return;
    if (series->type() != MetricType::counter) return series->set(value);
    double before = total.load(std::memory_order_relaxed);
    while (value > before && !total.compare_exchange_weak(before, value, std::memory_order_relaxed)) {
    }
    if (value > before) series->add(value - before);
}

flowd_result Host::open_metric(MetricInfo info, flowd_metric* metric) {
    const std::lock_guard lock(mutex_);
    if (retired_) return FLOWD_STOPPED;
    const bool full = free_metrics_.empty() && metric_slots_ >= max_series;
    auto opened = full ? Error{FLOWD_LIMIT, fmt::format("the instance has {} series already", max_series)}
                       : services_.metrics.open(std::move(info));
    if (!opened) {
        log(FLOWD_LEVEL_ERROR, to_c(fmt::format("metric_open: {}", opened.error().message)));
        return opened.error().code;
    }
    std::uint32_t index = 0;
    if (!free_metrics_.empty()) {
        index = free_metrics_.back();
        free_metrics_.pop_back();
    } else {
        index = static_cast<std::uint32_t>(metric_slots_);
        if (index % slots_per_page == 0) {
            metric_pages_.push_back(std::make_unique<MetricSlot[]>(slots_per_page));
            pages_[index / slots_per_page].store(metric_pages_.back().get(), std::memory_order_release);
        }
        ++metric_slots_;
    }
    MetricSlot& slot = metric_pages_[index / slots_per_page][index % slots_per_page];
    slot.keeper = std::move(*opened);
    slot.total.store(0, std::memory_order_relaxed);
    slot.metric.store(slot.keeper.get(), std::memory_order_release);
    const std::uint32_t generation = slot.generation.fetch_add(1, std::memory_order_acq_rel) + 1;
    *metric = (std::uint64_t{generation} << 32) | index;
    return FLOWD_OK;
}

Host::MetricSlot* Host::slot_of(flowd_metric handle) {
    const auto index = static_cast<std::uint32_t>(handle);
    if (handle == 0 || index >= max_series) return nullptr;
    MetricSlot* const page = pages_[index / slots_per_page].load(std::memory_order_acquire);
    if (page == nullptr) return nullptr;
    return &page[index % slots_per_page];
}

void Host::remove_metric(flowd_metric handle) {
    const std::lock_guard lock(mutex_);
    MetricSlot* const slot = slot_of(handle);
    if (slot == nullptr || retired_ || !is_good(*slot, handle) || slot->metric.exchange(nullptr) == nullptr) return;
    slot->generation.fetch_add(1, std::memory_order_seq_cst);
    // Another thread may be using this handle: the series must not be removed before its call ends.
    while (slot->users.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
    services_.metrics.remove(slot->keeper);
    free_metrics_.push_back(static_cast<std::uint32_t>(handle));
}

}  // namespace flowd::core
