// SPDX-License-Identifier: Apache-2.0
// An event loop on one epoll descriptor: watches, timers, posts. All calls are for the thread that dispatches it, except
// post() and wake(). Everything that is due, timers included, makes fd() readable, so it can be nested in another loop.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "flowd/abi/host.h"
#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core {

class Loop {
  public:
    using Clock = std::chrono::steady_clock;
    using Id = std::uint64_t;  ///< of a watch or a timer; never 0, never reused
    using IoCallback = std::function<void(int fd, std::uint32_t ready)>;
    using Callback = std::function<void()>;

    [[nodiscard]] static Result<std::unique_ptr<Loop>> create();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    ~Loop() = default;

    /// Readable when something is due. Owned by the loop.
    [[nodiscard]] int fd() const { return epoll_.get(); }

    /// Waits until a call is due, at most `limit` (negative: no limit), then makes the calls that are due.
    void wait(std::chrono::milliseconds limit = std::chrono::milliseconds(-1));
    /// Makes the calls that are due now. Never blocks. False if called from one of its own callbacks: nothing was done.
    bool dispatch();

    /// Conditions as FLOWD_IO_*. FLOWD_BUSY: this descriptor is watched already. FLOWD_UNSUPPORTED: epoll does not support
    /// this file.
    [[nodiscard]] Result<Id> watch(int fd, std::uint32_t conditions, IoCallback callback);
    [[nodiscard]] flowd_result rewatch(Id watch, std::uint32_t conditions);
    /// No callback follows; may be called from the callback. False: the watch does not exist.
    bool unwatch(Id watch);

    /// First after `delay`, then every `period`; zero: once, and the timer is gone. Missed periods are not made up.
    [[nodiscard]] Id timer(Clock::duration delay, Clock::duration period, Callback callback);
    /// False: the timer does not exist.
    bool cancel(Id timer);

    /// [any] Runs `callback` on the loop's thread, after everything posted before. False once closed: it will not run.
    bool post(Callback callback);
    /// [any] Makes the loop call its work function.
    void wake();
    /// A function that each dispatch calls: it returns true if there is more to do at once. Set it before the loop runs.
    void set_work(std::function<bool()> work) { work_ = std::move(work); }

    /// Removes all watches and timers and refuses further posts; posts that have not run are dropped. Afterwards
    /// only post(), wake() and the destructor may be called.
    void close();

  private:
    struct Watch {
        int fd = -1;  // -1: the descriptor was closed and its number reused by another watch
        IoCallback callback;
    };
    struct Timer {
        Clock::time_point due;
        Clock::duration period;
        Callback callback;
    };

    Loop() = default;
    void run_posts();
    void run_timers();
    void run_watches();
    void arm();

    UniqueFd epoll_;
    UniqueFd wakeup_;
    UniqueFd clock_;
    bool dispatching_ = false;
    std::function<bool()> work_;

    Id next_id_ = 1;
    std::unordered_map<Id, std::shared_ptr<Watch>> watches_;
    std::unordered_map<int, Id> watch_of_fd_;
    std::unordered_map<Id, std::shared_ptr<Timer>> timers_;
    std::set<std::pair<Clock::time_point, Id>> due_;
    Clock::time_point armed_for_ = Clock::time_point::max();

    std::atomic<bool> woken_{false};
    std::mutex mutex_;  // guards the members below
    std::vector<Callback> posts_;
    bool closed_ = false;
};

}  // namespace flowd::core
