// SPDX-License-Identifier: Apache-2.0
// Start/end pairs from one plugin to two backends: none lost, none doubled, in order for each flow.
#include <thread>

#include "scripted.hpp"

namespace flowd::core::test {
namespace {

#if defined(__SANITIZE_THREAD__)
constexpr std::uint32_t pairs = 10'000;  // each takes a hundred times as long
#elif defined(__SANITIZE_ADDRESS__)
constexpr std::uint32_t pairs = 20'000;  // each takes twenty times as long
#else
constexpr std::uint32_t pairs = 100'000;
#endif

/// What one backend saw of every flow.
class Ledger {
  public:
    flowd_result take(const flowd_event* events, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint32_t n = number_of(events[i]);
            if (n >= pairs) {
                ++strange;
                continue;
            }
            std::uint8_t& seen = flows_[n];
            if (events[i].kind == FLOWD_EVENT_START)
                ++(seen == 0 ? starts : wrong);
            else if (events[i].kind == FLOWD_EVENT_END)
                ++(seen == 1 ? ends : wrong);
            ++seen;
        }
        return FLOWD_OK;
    }
    std::atomic<std::uint32_t> starts{0}, ends{0}, wrong{0}, strange{0};

  private:
    std::vector<std::uint8_t> flows_ = std::vector<std::uint8_t>(pairs, 0);
};

struct PipelineTest : Rig {
    Ledger ledger_a, ledger_b;

    /// Emits on the plugin's own thread from start() on; FULL is waited out until on_room.
    void script_plugin() {
        Script& plugin = Scripts::of("source");
        const auto more = [this, &plugin] {
            const flowd_host* host = plugin.host;
            while (next_ < 2 * pairs) {
                // A window of flows is open at a time, so that starts and ends mix.
                const flowd_event one = step(next_);
                std::size_t accepted = 0;
                const flowd_result result = host->emit(host, &one, 1, sizeof one, &accepted, nullptr);
                if (result == FLOWD_FULL) {
                    ++full_;
                    return;
                }
                ASSERT_EQ(result, FLOWD_OK);
                ++next_;
            }
            done_ = true;
        };
        plugin.on_room = more;
        plugin.start = [more]() -> flowd_result {
            more();
            return FLOWD_OK;
        };
    }
    /// The i-th event: flows are ended in the order they were started, 50 behind.
    static flowd_event step(std::uint32_t i) {
        constexpr std::uint32_t window = 50;
        if (i < window) return event(FLOWD_EVENT_START, i);
        if (i >= 2 * pairs - window) return event(FLOWD_EVENT_END, i - pairs);
        const std::uint32_t k = i - window;
        return k % 2 == 0 ? event(FLOWD_EVENT_END, k / 2) : event(FLOWD_EVENT_START, window + k / 2);
    }
    void expect_all(const Ledger& ledger) {
        EXPECT_TRUE(eventually([&] { return ledger.ends == pairs; })) << ledger.ends;
        EXPECT_EQ(ledger.starts, pairs);
        EXPECT_EQ(ledger.wrong, 0U) << "doubled, or out of order";
        EXPECT_EQ(ledger.strange, 0U);
    }
    void run(const std::function<flowd_result(const flowd_event*, std::size_t)>& a,
             const std::function<flowd_result(const flowd_event*, std::size_t)>& b) {
        script_plugin();
        Scripts::of("a").on_events = a;
        Scripts::of("b").on_events = b;
        ASSERT_EQ(start(config(FLOWD_BACKEND, "a"), config(FLOWD_BACKEND, "b"), config(FLOWD_PLUGIN, "source")),
                  ExitCode::ok)
            << log();
        expect_all(ledger_a);
        expect_all(ledger_b);
        EXPECT_TRUE(done_);
    }

    std::atomic<std::uint32_t> next_{0};
    std::atomic<std::uint64_t> full_{0};
    std::atomic<bool> done_{false};
};

TEST_F(PipelineTest, EveryPairArrivesAtBothBackends) {
    run([this](const flowd_event* events, std::size_t count) { return ledger_a.take(events, count); },
        [this](const flowd_event* events, std::size_t count) { return ledger_b.take(events, count); });
}

TEST_F(PipelineTest, WithQueuesOf64NothingIsLost) {
    settings_.queues.events = 64;
    run([this](const flowd_event* events, std::size_t count) { return ledger_a.take(events, count); },
        [this](const flowd_event* events, std::size_t count) { return ledger_b.take(events, count); });
    EXPECT_GT(full_, 0U);
}

TEST_F(PipelineTest, ASlowBackendLosesNothingAndDelaysOnlyThePlugin) {
    settings_.queues.events = 64;
    // Sleeps until the other has seen the whole first queue, so that the one that is awake is never held up by it.
    Gate gate;
    std::atomic<bool> slept{false};
    Scripts::of("a");
    std::thread waker([&] {
        EXPECT_TRUE(gate.reached());
        EXPECT_TRUE(eventually([&] { return full_ > 0; })) << "the plugin was never told that the queue is full";
        slept = true;
        gate.open();
    });
    run(
        [&](const flowd_event* events, std::size_t count) {
            if (!slept) gate.pass();
            return ledger_a.take(events, count);
        },
        [this](const flowd_event* events, std::size_t count) { return ledger_b.take(events, count); });
    waker.join();
    EXPECT_GT(full_, 0U);
}

TEST_F(PipelineTest, AStalledBackendIsResynchronised) {
    settings_.queues.events = 64;
    settings_.queues.stall_after_ns = 50'000'000;
    Gate gate;
    std::atomic<bool> slept{false};
    std::thread waker([&] {
        EXPECT_TRUE(gate.reached());
        EXPECT_TRUE(eventually([&] { return ledger_b.ends == pairs; })) << "it holds the other up for ever";
        slept = true;
        gate.open();
    });
    // The daemon's timer: it is what finds the stall.
    const Loop::Id ticking = loop_->timer(10ms, 10ms, [&] { (void)bus_.tick(); });
    script_plugin();
    Scripts::of("a").on_events = [&](const flowd_event* events, std::size_t count) {
        if (!slept) gate.pass();
        return ledger_a.take(events, count);
    };
    Scripts::of("b").on_events = [&](const flowd_event* events, std::size_t count) { return ledger_b.take(events, count); };
    ASSERT_EQ(start(config(FLOWD_BACKEND, "a"), config(FLOWD_BACKEND, "b"), config(FLOWD_PLUGIN, "source")), ExitCode::ok);
    const auto deadline = SteadyClock::now() + 2 * patience;
    while (ledger_a.ends < pairs && SteadyClock::now() < deadline) loop_->wait(10ms);
    waker.join();
    expect_all(ledger_b);
    expect_all(ledger_a);
    loop_->cancel(ticking);
    supervisor().stop();
}

}  // namespace
}  // namespace flowd::core::test
