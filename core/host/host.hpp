// SPDX-License-Identifier: Apache-2.0
// The flowd_host of one instance: validates the arguments of a module and passes them to the services of the core.
//
// A host outlives its instance (the daemon keeps it until it ends), because threads of a module may still call emit, log,
// post or a metric after destroy. Such a call returns FLOWD_STOPPED or has no effect.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/log_limiter.hpp"
#include "core/base/loop.hpp"
#include "core/flows/backend_queue.hpp"
#include "core/host/refusal_log.hpp"
#include "core/host/services.hpp"
#include "flowd/abi/ext/daemon.h"
#include "flowd/abi/host.h"

namespace flowd::core {

class Host {
  public:
    /// The functions through which a host calls its instance. All [instance].
    struct Behind {
        std::function<void(const flowd_problem&)> report;
        std::function<flowd_result()> dispatch;
        /// Calls the module behind the exception barrier; `what` names the call.
        std::function<void(const char* what, const std::function<void()>& call)> guard;
    };

    /// `label`: value of the metric label `flowd_instance`, unique over all kinds.
    Host(Services services, std::string key, std::string label, std::uint32_t kind, Loop& loop, Behind behind);
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    ~Host();

    [[nodiscard]] const flowd_host* abi() const { return &abi_; }
    [[nodiscard]] spdlog::logger& logger() const { return *logger_; }
    /// Limit per module, so that one module cannot use the whole limit of Metrics::max_series.
    static constexpr std::size_t max_series = 20'000;

    [[nodiscard]] std::uint64_t id() const { return id_; }  ///< its id as a holder of descriptors

    void bind_thread() { thread_ = std::this_thread::get_id(); }  ///< the thread of [instance] calls from now on
    void set_announcer(AnnouncerId announcer);                    ///< required before emit
    void set_queue(std::shared_ptr<BackendQueue> queue);          ///< required before acknowledge; null: ends it
    /// Whether `ready` was called since the last call of take_ready(). While hold(true) is set, `ready` wakes the loop.
    [[nodiscard]] bool take_ready() { return ready_.exchange(false); }
    void hold(bool held) { held_ = held; }
    [[nodiscard]] std::uint64_t lost() const { return lost_; }  ///< events that the module reported as lost [any]
    /// [instance] Calls the callback of the oldest mark.
    void call_mark();
    /// Called after stop has returned: emit and post return FLOWD_STOPPED. Waits until running calls of them have ended.
    void stop();
    /// Called after destroy has returned: ends watches and timers, removes series, releases descriptors; afterwards neither
    /// the loop nor the instance is accessed.
    void retire();
    /// An answer to `request` will come: the host must not be destroyed before. [any]
    [[nodiscard]] bool awaits_answers() const { return requests_ != 0; }

  private:
    /// The series of a flowd_metric, which contains index and generation. Freed with the host, not earlier.
    struct MetricSlot {
        std::atomic<std::uint32_t> generation{0};  ///< odd while the slot is in use
        std::atomic<Metric*> metric{nullptr};
        std::shared_ptr<Metric> keeper;       ///< until the slot is reused
        std::atomic<double> total{0};         ///< of a counter: the last value that this holder set
        std::atomic<std::uint32_t> users{0};  ///< calls that use it now; it is not reused before they end

        void set(double value);
    };

    /// Registers a callback of the module for changes of `what`; null removes it. `watch` receives a Tell (empty: removed).
    flowd_result on_change(const std::string& what, flowd_callback callback, void* user,
                           const std::function<void(Watchers::Tell)>& watch);

    static flowd_result refused(const flowd_host* host, const flowd_refusal* refusal);
    static flowd_result emit(const flowd_host* host, const flowd_event* events, size_t count, size_t stride,
                             size_t* accepted, uint64_t* flow_ids);
    static void ready(const flowd_host* host);
    flowd_result mark(flowd_callback callback, void* user);
    flowd_result acknowledge(std::uint64_t settled);
    flowd_result request(std::vector<std::string> words, flowd_answered answered, void* user);
    void take_answer(flowd_result result, const std::string& answer, flowd_answered answered, void* user);
    static flowd_result post(const flowd_host* host, flowd_callback callback, void* user);
    static flowd_result watch(const flowd_host* host, int fd, uint32_t conditions, flowd_io_callback callback, void* user,
                              flowd_watch* watch);
    static flowd_result timer(const flowd_host* host, int64_t delay, int64_t period, flowd_callback callback, void* user,
                              flowd_timer* timer);
    static flowd_result metric_open(const flowd_host* host, const flowd_metric_info* info, flowd_metric* metric);
    /// The slot of a handle, valid or stale; null if there is no such slot.
    [[nodiscard]] MetricSlot* slot_of(flowd_metric handle);
    [[nodiscard]] static bool is_good(const MetricSlot& slot, flowd_metric handle) {
        return slot.generation.load(std::memory_order_seq_cst) == handle >> 32;
    }
    /// Calls `use` with the slot of a valid handle.
    template <typename Use>
    void with_metric(flowd_metric handle, const Use& use) {
        MetricSlot* const slot = slot_of(handle);
        if (slot == nullptr) return;
        slot->users.fetch_add(1, std::memory_order_seq_cst);
        if (is_good(*slot, handle)) use(*slot);
        slot->users.fetch_sub(1, std::memory_order_release);
    }
    static Host& of(const flowd_host* host) { return *static_cast<Host*>(host->context); }

    void log(flowd_level level, flowd_string message);
    void lost(std::uint64_t count, std::string_view what);
    flowd_result open_metric(MetricInfo info, flowd_metric* metric);
    void remove_metric(flowd_metric handle);
    /// Whether this is the instance's thread and the loop still exists.
    [[nodiscard]] bool on_thread(const char* call);
    friend struct HostExtensions;

    Services services_;
    const std::string key_;
    const std::string label_;
    const std::uint32_t kind_;
    const std::uint64_t id_;
    const std::string state_directory_;  // empty: none
    const std::string runtime_directory_;
    Loop* loop_;
    Behind behind_;
    std::shared_ptr<spdlog::logger> logger_;
    LogLimiter limiter_;
    RefusalLog refusal_log_;
    flowd_host abi_{};
    struct Subscription;
    std::map<std::string, std::shared_ptr<Subscription>> subscriptions_;  // [instance]
    std::thread::id thread_;

    std::atomic<std::uint64_t> announcer_{0};  // slot and generation; 0: none
    std::atomic<bool> stopped_{false};
    std::atomic<std::uint32_t> under_way_{0};  // emits and posts
    std::atomic<bool> ready_{false};
    std::atomic<bool> held_{false};  // on_events returned FULL
    std::atomic<std::uint64_t> lost_{0};

    struct Mark {
        flowd_callback callback;
        void* user;
    };
    static constexpr std::size_t max_marks = 65'536;
    std::mutex marks_mutex_;
    std::deque<Mark> marks_;
    std::mutex queue_mutex_;
    std::shared_ptr<BackendQueue> queue_;

    static constexpr std::uint32_t max_requests = 16;
    std::atomic<std::uint32_t> requests_{0};  // outstanding

    std::mutex mutex_;  // guards the members below
    static constexpr std::size_t slots_per_page = 256;
    std::vector<std::unique_ptr<MetricSlot[]>> metric_pages_;
    std::array<std::atomic<MetricSlot*>, max_series / slots_per_page + 1> pages_{};  ///< the same, read without the lock
    std::size_t metric_slots_ = 0;
    std::vector<std::uint32_t> free_metrics_;
    bool retired_ = false;
};

}  // namespace flowd::core
