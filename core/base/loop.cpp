// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.hpp"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace flowd::core {

namespace {

// Ids of the loop's own descriptors in epoll_event.data; those of watches count up from 1.
constexpr std::uint64_t wakeup_id = ~std::uint64_t{0};
constexpr std::uint64_t clock_id = wakeup_id - 1;

std::uint32_t to_epoll(std::uint32_t conditions) {
    return ((conditions & FLOWD_IO_READ) != 0 ? static_cast<std::uint32_t>(EPOLLIN) : 0U) |
           ((conditions & FLOWD_IO_WRITE) != 0 ? static_cast<std::uint32_t>(EPOLLOUT) : 0U);
}

std::uint32_t from_epoll(std::uint32_t events) {
    std::uint32_t ready = 0;
    if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) ready |= FLOWD_IO_READ;
    if ((events & EPOLLOUT) != 0) ready |= FLOWD_IO_WRITE;
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) ready |= FLOWD_IO_ERROR;
    return ready;
}

int add(int epoll, int fd, std::uint32_t events, std::uint64_t id) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

void drain(int fd) {
    std::uint64_t value = 0;
    while (::read(fd, &value, sizeof value) < 0 && errno == EINTR) {
    }
}

}  // namespace

Result<std::unique_ptr<Loop>> Loop::create() {
    std::unique_ptr<Loop> loop(new Loop);  // NOLINT: the constructor is private
    loop->epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    if (!loop->epoll_) return Error::from_errno(errno, "epoll_create1");
    loop->wakeup_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!loop->wakeup_) return Error::from_errno(errno, "eventfd");
    loop->clock_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!loop->clock_) return Error::from_errno(errno, "timerfd_create");
    if (add(loop->epoll_.get(), loop->wakeup_.get(), EPOLLIN, wakeup_id) != 0 ||
        add(loop->epoll_.get(), loop->clock_.get(), EPOLLIN, clock_id) != 0)
        return Error::from_errno(errno, "epoll_ctl");
    return loop;
}

void Loop::wait(std::chrono::milliseconds limit) {
    epoll_event ignored{};
    (void)::epoll_wait(epoll_.get(), &ignored, 1, static_cast<int>(std::min<std::int64_t>(limit.count(), 1 << 30)));
    dispatch();
}

bool Loop::dispatch() {
    if (dispatching_) return false;
    struct Scope {
        bool& flag;
        explicit Scope(bool& f) : flag(f) { flag = true; }
        ~Scope() { flag = false; }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;
    } scope(dispatching_);

    // Drained first, then the mark is cleared, then the work is read: a wake-up in between costs one idle round. In another
    // order its write could be drained while its mark stays, and later wake-ups would not write.
    drain(wakeup_.get());
    (void)woken_.exchange(false, std::memory_order_acq_rel);
    run_posts();
    if (work_ && work_()) wake();
    run_timers();
    run_watches();
    arm();
    return true;
}

void Loop::run_posts() {
    std::vector<Callback> due;
    {
        const std::lock_guard lock(mutex_);
        due.swap(posts_);
    }
    for (Callback& callback : due) callback();
}

void Loop::run_timers() {
    const Clock::time_point now = Clock::now();
    // Each timer fires at most once a round, so that a short period cannot starve the rest.
    std::vector<Id> ripe;
    for (const auto& [due, id] : due_) {
        if (due > now) break;
        ripe.push_back(id);
    }
    for (const Id id : ripe) {
        const auto found = timers_.find(id);
        if (found == timers_.end()) continue;                // cancelled by another callback of this round
        const std::shared_ptr<Timer> timer = found->second;  // keeps the callback while it cancels itself
        due_.erase({timer->due, id});
        if (timer->period > Clock::duration::zero()) {
            timer->due = std::max(timer->due + timer->period, now + Clock::duration(1));
            if (timer->due <= now + Clock::duration(1)) timer->due = now + timer->period;
            due_.insert({timer->due, id});
        } else {
            timers_.erase(found);  // many callers do not cancel what has fired
        }
        timer->callback();
    }
}

void Loop::run_watches() {
    std::array<epoll_event, 64> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.u64 == wakeup_id) continue;
        if (event.data.u64 == clock_id) {
            drain(clock_.get());
            armed_for_ = Clock::time_point::max();
            continue;
        }
        const auto found = watches_.find(event.data.u64);
        if (found == watches_.end()) continue;
        const std::shared_ptr<Watch> watch = found->second;
        watch->callback(watch->fd, from_epoll(event.events));
    }
}

void Loop::arm() {
    const Clock::time_point next = due_.empty() ? Clock::time_point::max() : due_.begin()->first;
    if (next == armed_for_) return;
    armed_for_ = next;
    itimerspec spec{};
    if (next != Clock::time_point::max()) {
        // steady_clock is CLOCK_MONOTONIC. Zero would disarm.
        const std::int64_t nanoseconds = std::max<std::int64_t>(
            1, std::chrono::duration_cast<std::chrono::nanoseconds>(next.time_since_epoch()).count());
        spec.it_value.tv_sec = nanoseconds / 1'000'000'000;
        spec.it_value.tv_nsec = nanoseconds % 1'000'000'000;
    }
    (void)::timerfd_settime(clock_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

Result<Loop::Id> Loop::watch(int fd, std::uint32_t conditions, IoCallback callback) {
    const Id id = next_id_++;
    if (add(epoll_.get(), fd, to_epoll(conditions), id) != 0) {
        switch (errno) {
            case EEXIST:
                return Error{FLOWD_BUSY, "descriptor " + std::to_string(fd) + " is watched already"};
            case EPERM:
                return Error{FLOWD_UNSUPPORTED,
                             "descriptor " + std::to_string(fd) + " is always ready and cannot be watched"};
            case EBADF:
                return Error{FLOWD_INVALID, "descriptor " + std::to_string(fd) + " is not open"};
            default:
                return Error::from_errno(errno, "epoll_ctl");
        }
    }
    // The kernel forgot the number's former owner when it was closed; so must we, or its unwatch would end this watch.
    if (const auto former = watch_of_fd_.find(fd); former != watch_of_fd_.end()) {
        if (const auto found = watches_.find(former->second); found != watches_.end()) found->second->fd = -1;
    }
    watch_of_fd_[fd] = id;
    watches_.emplace(id, std::make_shared<Watch>(Watch{fd, std::move(callback)}));
    return id;
}

flowd_result Loop::rewatch(Id watch, std::uint32_t conditions) {
    const auto found = watches_.find(watch);
    if (found == watches_.end() || found->second->fd < 0) return FLOWD_NOT_FOUND;
    epoll_event event{};
    event.events = to_epoll(conditions);
    event.data.u64 = watch;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second->fd, &event) == 0 ? FLOWD_OK : FLOWD_INVALID;
}

bool Loop::unwatch(Id watch) {
    const auto found = watches_.find(watch);
    if (found == watches_.end()) return false;
    if (found->second->fd >= 0) {
        (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second->fd, nullptr);
        watch_of_fd_.erase(found->second->fd);
    }
    watches_.erase(found);
    return true;
}

Loop::Id Loop::timer(Clock::duration delay, Clock::duration period, Callback callback) {
    const Clock::time_point now = Clock::now();
    // Delays beyond a century would overflow the clock.
    constexpr Clock::duration century = std::chrono::hours(24) * 36525;
    const Clock::time_point due = now + std::clamp(delay, Clock::duration::zero(), century);
    const Id id = next_id_++;
    timers_.emplace(
        id, std::make_shared<Timer>(Timer{due, std::clamp(period, Clock::duration::zero(), century), std::move(callback)}));
    due_.insert({due, id});
    if (!dispatching_) arm();
    return id;
}

bool Loop::cancel(Id timer) {
    const auto found = timers_.find(timer);
    if (found == timers_.end()) return false;
    due_.erase({found->second->due, timer});
    timers_.erase(found);
    return true;
}

bool Loop::post(Callback callback) {
    {
        const std::lock_guard lock(mutex_);
        if (closed_) return false;
        posts_.push_back(std::move(callback));
    }
    wake();
    return true;
}

void Loop::wake() {
    if (woken_.exchange(true, std::memory_order_acq_rel)) return;
    const std::uint64_t one = 1;
    while (::write(wakeup_.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void Loop::close() {
    std::vector<Callback> dropped;
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        dropped.swap(posts_);
    }
    for (const auto& [id, watch] : watches_)
        if (watch->fd >= 0) (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, watch->fd, nullptr);
    watches_.clear();
    watch_of_fd_.clear();
    timers_.clear();
    due_.clear();
    work_ = nullptr;
}

}  // namespace flowd::core
