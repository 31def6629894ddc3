// SPDX-License-Identifier: Apache-2.0
// An instance with its own loop: a UDP plugin on Boost.Asio, on the fakes of the SDK.
#include "flowd/asio.hpp"

#include <gtest/gtest.h>

#include <array>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string>
#include <thread>

#include "flowd/testing.hpp"

namespace flowd {
namespace {

using boost::asio::ip::udp;
using testing::Config;
using testing::FakeHost;
using testing::Instance;
using namespace std::chrono_literals;

struct EchoOptions {
    bool raise = false;
    std::chrono::milliseconds linger{};  ///< how long stop has something to flush; 0: it is done at once
    static const Table<EchoOptions>& table() {
        static const Table<EchoOptions> table{
            option("raise", &EchoOptions::raise).default_value(false).doc("Throw in a handler."),
            option("linger", &EchoOptions::linger).default_value("0ms").doc("Time that flushing takes."),
        };
        return table;
    }
};

/// Emits one event per datagram; its first byte is the experiment.
class Echo final : public Plugin {
  public:
    using Options = EchoOptions;
    static constexpr Info info{.name = "echo", .summary = "Echoes.", .loop = FLOWD_LOOP_OWN};

    Echo(Host& host, Options options) : Plugin(host), options_(options), loop_(host), socket_(loop_.context()) {}

    Result<void> prepare() override {
        socket_.open(udp::v6());
        socket_.bind({boost::asio::ip::address_v6::loopback(), 0});
        return {};
    }
    Result<void> start() override {
        host().info(std::to_string(socket_.local_endpoint().port()));
        receive();
        return {};
    }
    Result<void> run() override { return loop_.run(); }
    Result<void> stop(Deadline deadline) override {
        boost::asio::steady_timer flush(loop_.context(), options_.linger);
        if (options_.linger.count() > 0)
            flush.async_wait([this](const boost::system::error_code&) { flushed_ = true; });
        else
            boost::asio::post(loop_.context(), [this] { flushed_ = true; });
        host().info(loop_.drain(deadline, [this] { return !flushed_; }) ? "flushed" : "gave up");
        return {};
    }
    void on_room() override { host().info("room"); }

  private:
    void receive() {
        socket_.async_receive(boost::asio::buffer(buffer_),
                              [this](const boost::system::error_code& error, std::size_t size) {
                                  if (error || size == 0) return;
                                  receive();
                                  if (options_.raise) throw std::runtime_error("spilt");
                                  host().emit(Event::catch_all({buffer_[0], 1}));
                              });
    }

    Options options_;
    AsioLoop loop_;
    udp::socket socket_;
    std::array<std::uint8_t, 512> buffer_{};
    bool flushed_ = false;
};

/// The instance runs on a thread of its own, as in the daemon; the test talks to it over UDP.
class AsioLoopTest : public ::testing::Test {
  protected:
    void run(Config config = Config(component<Echo>())) {
        thread_ = std::thread([this, config] {
            Instance instance(host_, component<Echo>(), config);
            ASSERT_EQ(instance.bring_up(), FLOWD_OK);
            EXPECT_EQ(instance.run(), FLOWD_OK);
            EXPECT_EQ(instance.stop(), FLOWD_OK);
        });
        wait([&] { return !host_.lines().empty(); });
        port_ = static_cast<std::uint16_t>(std::stoi(host_.lines().at(0).text));
    }
    void send(std::uint8_t byte) {
        boost::asio::io_context context;
        udp::socket socket(context, udp::v6());
        socket.send_to(boost::asio::buffer(&byte, 1), {boost::asio::ip::address_v6::loopback(), port_});
    }
    template <typename Predicate>
    static void wait(Predicate done) {
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (!done() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        ASSERT_TRUE(done());
    }
    void TearDown() override {
        host_.request_stop();
        if (thread_.joinable()) thread_.join();
    }

    FakeHost host_{"echo"};
    std::thread thread_;
    std::uint16_t port_ = 0;
};

TEST_F(AsioLoopTest, RunsHandlersAndCallsOfTheCoreUntilItIsStopped) {
    run();
    send(7);
    wait([&] { return host_.events().size() == 1; });
    EXPECT_EQ(host_.events()[0]->tag.experiment, 7u);

    std::atomic<bool> dispatched = false;
    host_.at_dispatch([&] { dispatched = true; });
    wait([&] { return dispatched.load(); });

    host_.request_stop();
    thread_.join();
    EXPECT_TRUE(host_.logged("flushed"));
}

TEST_F(AsioLoopTest, AnExceptionOfAHandlerIsLoggedAndTheLoopGoesOn) {
    run(Config(component<Echo>()).set("raise", "true"));
    send(1);
    wait([&] { return host_.logged("echo: a handler of the loop threw: spilt"); });
    const auto lines = host_.lines().size();
    send(2);
    wait([&] { return host_.lines().size() > lines; });
}

TEST_F(AsioLoopTest, DrainRunsHandlersDuringTheStop) {
    run(Config(component<Echo>()).set("linger", "20ms"));
    host_.request_stop();
    thread_.join();
    EXPECT_TRUE(host_.logged("flushed"));
}

TEST_F(AsioLoopTest, DrainRunsHandlersPostedByTheStop) {
    run();
    host_.request_stop();
    thread_.join();
    EXPECT_TRUE(host_.logged("flushed"));
}

TEST(AsioLoopDrain, GivesUpAtTheDeadline) {
    FakeHost fake;
    const auto host = Host::make(fake.raw()).value();
    AsioLoop loop(*host);
    boost::asio::steady_timer never(loop.context(), std::chrono::hours(1));
    never.async_wait([](const boost::system::error_code&) {});
    const auto soon = std::chrono::steady_clock::now().time_since_epoch() + 5ms;
    EXPECT_FALSE(loop.drain(Deadline(std::chrono::nanoseconds(soon).count()), [] { return true; }));
}

TEST(AsioLoopDrain, EndsWithoutFurtherHandlers) {
    FakeHost fake;
    const auto host = Host::make(fake.raw()).value();
    AsioLoop loop(*host);
    const auto late = std::chrono::steady_clock::now().time_since_epoch() + std::chrono::hours(1);
    EXPECT_FALSE(loop.drain(Deadline(std::chrono::nanoseconds(late).count()), [] { return true; }));
}

}  // namespace
}  // namespace flowd
