// SPDX-License-Identifier: Apache-2.0
// How long the locks of the bus are held while it has 1 M live flows, by operation. Meanwhile one thread announces, one
// reads pages and visits, one asks for the counters, and two backends take. Two figures of each longest hold: by the
// clock, and of the thread's own time, which other programs on the machine hardly lengthen; and the longest call of emit
// with one event, by the clock, lock waits included. The floor is of the same run: a lock that no other thread wants, held
// for 5 us of work; and the longest time for which the announcing thread did not run.
// usage: lock_benchmark [FLOWS]
#include <malloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/flows/bus.hpp"
#include "flowd/address.hpp"
#include "tests/bench/measured_mutex.hpp"

namespace {

using namespace flowd;
using namespace flowd::core;
using namespace std::chrono_literals;
using bench::Holds;

struct Row {
    std::string name;
    Holds holds;
    std::atomic<std::int64_t> longest_emit{0};
    double seconds = 0;
};

std::list<Row> rows;
std::atomic<Row*> phase{nullptr};  ///< of the main thread

Row& row(const std::string& name) {
    Row& own = rows.emplace_back();
    own.name = name;
    return own;
}

/// Does it on this thread, and tells it apart in the table.
void measure(const std::string& name, const std::function<void()>& what) {
    Row& own = row(name);
    phase = &own;
    bench::operation = &own.holds;
    const std::int64_t begin = steady_ns();
    what();
    own.seconds = static_cast<double>(steady_ns() - begin) / 1e9;
    bench::operation = nullptr;
}

flowd_event event_of(std::uint32_t kind, std::uint32_t number) {
    static const flowd_key pattern =
        make_key({*Address::parse("2001:db8::1"), 443}, {*Address::parse("2001:db8::2"), 0}, 6);
    flowd_event event{};
    event.size = sizeof event;
    event.kind = kind;
    event.key = pattern;
    event.key.destination_port = static_cast<std::uint16_t>(number);
    std::memcpy(event.key.destination + 8, &number, sizeof number);
    event.tag = {2, 16};
    return event;
}

/// The kernel's sockets: those of the first `sockets` flows.
struct Probe final : SocketProbe {
    std::shared_ptr<std::atomic<std::uint32_t>> sockets;

    Result<void> dump(const Visitor& visitor) override {
        for (std::uint32_t i = 0; i < *sockets; ++i) visitor(event_of(FLOWD_EVENT_START, i).key);
        return {};
    }
    Result<std::vector<Address>> addresses() override { return std::vector<Address>{*Address::parse("2001:db8::1")}; }
};

/// A backend with its thread.
class Sink {
  public:
    Sink(Bus& bus, const std::string& name, bool takes) : bus_(bus), row_(row("take: backend \"" + name + "\"")) {
        takes_ = takes;
        queue_ = *bus.add_backend(options(name));
        thread_ = std::thread([this] { run(); });
    }
    ~Sink() {
        stop();
        bus_.remove_backend(queue_);
    }
    Sink(const Sink&) = delete;
    Sink& operator=(const Sink&) = delete;

    BackendOptions options(const std::string& name) {
        return {name, 0x3e, {}, [this] {
                    {
                        const std::lock_guard lock(mutex_);
                        rung_ = true;
                    }
                    changed_.notify_all();
                }};
    }
    void stop() {
        {
            const std::lock_guard lock(mutex_);
            over_ = rung_ = true;
        }
        changed_.notify_all();
        if (thread_.joinable()) thread_.join();
    }
    /// A successor with the same thread.
    void replace(const std::string& name) {
        stop();
        auto fresh = *bus_.replace_backend(queue_, options(name));
        bus_.remove_backend(queue_);
        queue_ = std::move(fresh);
        over_ = false;
        takes_ = true;
        thread_ = std::thread([this] { run(); });
    }
    [[nodiscard]] const std::shared_ptr<BackendQueue>& queue() const { return queue_; }
    std::atomic<std::uint64_t> taken{0};

  private:
    void run() {
        bench::operation = &row_.holds;
        for (;;) {
            {
                std::unique_lock lock(mutex_);
                changed_.wait(lock, [this] { return rung_; });
                rung_ = false;
                if (over_) break;
            }
            if (!takes_) continue;
            for (auto events = queue_->take(); !events.empty(); events = queue_->take()) taken += events.size();
        }
        bench::operation = nullptr;
    }

    Bus& bus_;
    Row& row_;
    std::shared_ptr<BackendQueue> queue_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool rung_ = true;
    bool over_ = false;
    std::atomic<bool> takes_{true};
    std::thread thread_;
};

class Bench {
  public:
    explicit Bench(std::uint32_t flows) : flows_(flows), explicit_(flows / 10 * 6) {
        FlowLimits limits;
        limits.max_live = 2 * std::uint64_t{flows};
        limits.max_per_sender = flows;
        auto probe = std::make_unique<Probe>();
        probe->sockets = sockets_;
        const auto steady = [this] { return steady_ns() + ahead_; };
        bus_ = std::make_unique<Bus>(limits, Clock{steady, [this] { return unix_ns() + ahead_; }}, std::move(probe));
        limits_ = limits;
        pipe_ = *bus_->add_announcer({"namedpipe"});
        meter_ = *bus_->add_announcer({"perfsonar", FLOWD_PRECEDENCE_METER});
        churn_ = *bus_->add_announcer({"api"});
    }

    void run() {
        auto quick = std::make_unique<Sink>(*bus_, "quick", true);
        auto second = std::make_unique<Sink>(*bus_, "second", true);
        std::vector<std::thread> others;
        others.emplace_back([this] { announce(); });
        others.emplace_back([this] { read_pages(); });
        others.emplace_back([this] { ask(); });

        measure("emit: " + count_text(flows_) + " starts in batches of 64", [this] { begin(); });
        std::printf("%llu live flows\n", static_cast<unsigned long long>(bus_->count()));
        measure("tick: nothing is due", [this] { tick_after(11 * second_ns); });
        measure("tick: sock_diag shows " + count_text(explicit_) + " sockets", [this] { tick_after(11 * second_ns); });
        {
            std::unique_ptr<Sink> third;
            measure("a backend is added", [&] { third = std::make_unique<Sink>(*bus_, "third, told all", true); });
            drain();
            measure("samples of " + count_text(flows_ / 10) + " flows", [this] { sample(); });
            drain();
            measure("a backend is removed", [&] { third.reset(); });
        }
        measure("reload: limits, queues, a plugin's successor", [this] { reload(); });
        auto slow = std::make_unique<Sink>(*bus_, "slow, replaced", false);
        measure("emit: " + count_text(flows_ / 10) + " ends that a stalled backend is owed", [this] { end_some(); });
        measure("reload: that backend is replaced", [&] { slow->replace("successor"); });
        drain();
        slow.reset();
        std::unique_ptr<Sink> stalled = std::make_unique<Sink>(*bus_, "stalled", false);
        ahead_ += 70 * second_ns;
        measure("tick: " + count_text(flows_ - explicit_ - flows_ / 10) + " flows are idle", [this] { bus_->tick(); });
        std::printf("%llu live flows\n", static_cast<unsigned long long>(bus_->count()));
        measure("tick: their tombstones end", [this] { tick_after(6 * second_ns); });
        measure("a stalled backend with what it is owed is removed", [&] { stalled.reset(); });
        *sockets_ = explicit_ / 2;
        measure("tick: sock_diag misses half of the sockets", [this] {
            for (int i = 0; i < 3; ++i) tick_after(11 * second_ns);
        });
        std::printf("%llu live flows\n", static_cast<unsigned long long>(bus_->count()));
        drain();
        measure("a plugin is removed with the rest of its flows", [this] { bus_->remove_announcer(pipe_); });
        std::printf("%llu live flows\n", static_cast<unsigned long long>(bus_->count()));
        over_ = true;
        for (auto& other : others) other.join();
        phase = nullptr;
        measure("stop: all members are removed", [&] {
            bus_->remove_announcer(churn_);
            bus_->remove_announcer(meter_);
            quick.reset();
            second.reset();
            bus_.reset();
        });
    }

  private:
    static std::string count_text(std::uint32_t count) { return std::to_string(count / 1000) + ",000"; }

    void offer(AnnouncerId id, std::vector<flowd_event>& batch) {
        for (std::size_t done = 0; done < batch.size();) {
            std::size_t accepted = 0;
            const auto result =
                bus_->emit(id, batch.data() + done, batch.size() - done, sizeof(flowd_event), &accepted, nullptr);
            done += accepted;
            if (result == FLOWD_FULL)
                std::this_thread::sleep_for(1ms);
            else if (result != FLOWD_OK)
                std::abort();
        }
        batch.clear();
    }
    /// Each explicit flow has an application and a sender of its own, one in four an attachment of its own.
    void begin() {
        std::vector<flowd_event> batch;
        std::vector<std::string> names(64);
        std::vector<flowd_attachment> kept(64);
        for (std::uint32_t i = 0; i < flows_; ++i) {
            flowd_event event = event_of(FLOWD_EVENT_START, i);
            if (i < explicit_) {
                std::string& name = names[batch.size()];
                name = "transfer-" + std::to_string(i);
                event.application = {name.data(), name.size()};
                event.sender = i + 1;
                if (i % 4 == 0) {
                    flowd_attachment& own = kept[batch.size()];
                    own = {};
                    own.size = sizeof own;
                    own.id = {"test", 4};
                    own.flags = FLOWD_ATTACHMENT_KEEP;
                    own.bytes = {reinterpret_cast<const std::uint8_t*>(name.data()), name.size()};
                    event.attachments = &own;
                    event.attachment_count = 1;
                    event.attachment_stride = sizeof own;
                }
            } else {
                event.flags = FLOWD_METERED;
            }
            batch.push_back(event);
            if (batch.size() == 64 || i + 1 == explicit_ || i + 1 == flows_) offer(i < explicit_ ? pipe_ : meter_, batch);
        }
    }
    void end_some() {
        std::vector<flowd_event> batch;
        for (std::uint32_t i = explicit_; i < explicit_ + flows_ / 10; ++i) {
            batch.push_back(event_of(FLOWD_EVENT_END, i));
            if (batch.size() == 64) offer(meter_, batch);
        }
        offer(meter_, batch);
    }
    void tick_after(std::int64_t time) {
        ahead_ += time;
        bus_->tick();
    }
    void sample() {
        SamplePeriod period(std::size_t{1} << 30);
        std::uint32_t wanted = flows_ / 10;
        bus_->visit([&](std::span<const flowd_flow> seen) {
            for (const auto& flow : seen) {
                flowd_sample one{};
                one.size = sizeof one;
                one.flow_id = flow.flow_id;
                one.usage = {1, 1, 0, 0, FLOWD_USAGE_KERNEL, FLOWD_USAGE_BYTES};
                period.add("bench", &one);
                if (--wanted == 0) return false;
            }
            return true;
        });
        bus_->apply_samples(period);
    }
    void reload() {
        for (int i = 0; i < 20; ++i) {
            bus_->set_limits(limits_);
            bus_->set_queue_limits({});
            if (!bus_->replace_announcer(pipe_, {"namedpipe"}).ok()) std::abort();
            auto more = bus_->add_announcer({"one more"});
            bus_->remove_announcer(*more);
        }
    }
    /// Until the backends have nothing left.
    void drain() {
        for (bool more = true; more;) {
            std::this_thread::sleep_for(20ms);
            more = false;
            for (const auto& backend : bus_->counters().backends) more = more || (backend.depth > 2'000 && !backend.behind);
        }
    }

    void announce() {
        Row& own = row("emit: starts, refreshes and ends of single flows");
        Row& floor = row("floor: a lock of one thread, 5 us of work");
        bench::MeasuredMutex<false> mine;
        constexpr std::uint32_t first = 0x10000000, live = 1'000;
        std::int64_t before = steady_ns();
        for (std::uint32_t i = 0; !over_; ++i) {
            bench::operation = &own.holds;
            const std::array<flowd_event, 3> events{event_of(FLOWD_EVENT_START, first + i),
                                                    event_of(FLOWD_EVENT_ONGOING, first + i - std::min(i, live / 2)),
                                                    event_of(FLOWD_EVENT_END, first + i - std::min(i, live))};
            for (const flowd_event& event : events) {
                const std::int64_t begin = steady_ns();
                (void)bus_->emit(churn_, &event, 1, sizeof event, nullptr);
                const std::int64_t took = steady_ns() - begin;
                Holds::Longest::raise(own.longest_emit, took);
                if (Row* const now = phase.load()) Holds::Longest::raise(now->longest_emit, took);
            }
            bench::operation = &floor.holds;
            for (int hold = 0; hold < 8; ++hold) {
                const std::lock_guard lock(mine);
                for (const std::int64_t until = steady_ns() + 5'000; steady_ns() < until;) {
                }
            }
            if (i % 32 != 0) continue;
            const std::int64_t until = steady_ns() + 200'000;
            for (before = steady_ns(); before < until;) {
                const std::int64_t now = steady_ns();
                Holds::Longest::raise(floor.longest_emit, now - before);
                before = now;
            }
            std::this_thread::sleep_for(500us);
        }
        bench::operation = nullptr;
    }
    void read_pages() {
        Row& pages = row("flows: pages of 1,000");
        Row& visits = row("flows: visits (enrichers, `flows`)");
        while (!over_) {
            bench::operation = &pages.holds;
            std::uint64_t cursor = 0;
            do {
                (void)bus_->page(nullptr, cursor, 1'000, [](const flowd_flow&) { return true; });
                std::this_thread::sleep_for(100us);
            } while (cursor != 0 && !over_);
            bench::operation = &visits.holds;
            bus_->visit([this](std::span<const flowd_flow>) { return !over_; });
        }
        bench::operation = nullptr;
    }
    void ask() {
        Row& own = row("status: counters");
        bench::operation = &own.holds;
        while (!over_) {
            const std::int64_t begin = steady_ns();
            (void)bus_->counters();
            own.seconds = std::max(own.seconds, static_cast<double>(steady_ns() - begin) / 1e9);
            std::this_thread::sleep_for(5ms);
        }
        bench::operation = nullptr;
    }

    const std::uint32_t flows_;
    const std::uint32_t explicit_;
    std::atomic<std::int64_t> ahead_{0};
    std::shared_ptr<std::atomic<std::uint32_t>> sockets_ = std::make_shared<std::atomic<std::uint32_t>>(explicit_);
    FlowLimits limits_;
    std::unique_ptr<Bus> bus_;
    AnnouncerId pipe_, meter_, churn_;
    std::atomic<bool> over_{false};
};

}  // namespace

int main(int count, char** words) {
    const std::uint32_t flows =
        count > 1 && std::atoi(words[1]) > 0 ? static_cast<std::uint32_t>(std::atoi(words[1])) : 1'000'000;
    ::mallopt(M_MXFAST, 0);  // as the daemon does
    Bench(flows).run();
    std::printf(
        "\n| | holds | shard: clock | shard: own time | other: clock | other: own time | > 1 ms own time | longest emit | "
        "took |\n");
    std::printf("|---|---|---|---|---|---|---|---|---|\n");
    const auto us = [](const std::atomic<std::int64_t>& ns) { return static_cast<double>(ns) / 1000; };
    for (const Row& one : rows)
        std::printf("| %s | %llu | %.0f us | %.0f us | %.0f us | %.0f us | %llu | %.0f us | %.2f s |\n", one.name.c_str(),
                    static_cast<unsigned long long>(one.holds.count), us(one.holds.shard.wall), us(one.holds.shard.cpu),
                    us(one.holds.other.wall), us(one.holds.other.cpu), static_cast<unsigned long long>(one.holds.too_long),
                    us(one.longest_emit), one.seconds);
    return 0;
}
