// SPDX-License-Identifier: Apache-2.0
#include "backends/metrics/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "flowd/testing/instance.hpp"
#include "lib/http/listening.hpp"
#include "tests/unit/http/client.hpp"
#include "tests/unit/metrics/events.hpp"

namespace flowd::metrics {
namespace {

namespace fs = std::filesystem;
using http::test::Client;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string get(const std::string& path, const std::string& more = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: h\r\n" + more + "\r\n";
}
std::string body_of(const std::string& answer) {
    return answer.substr(answer.find("\r\n\r\n") + 4);
}

std::string unpacked(const std::string& bytes) {
    std::string out(1 << 20, '\0');
    z_stream stream{};
    EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
    EXPECT_EQ(stream.avail_in, 0u);
    out.resize(stream.total_out);
    inflateEnd(&stream);
    return out;
}

/// The backend runs on a thread of its own, as in the daemon, at sockets that it is handed: no port is fought over.
class MetricsTest : public ::testing::Test {
  protected:
    MetricsTest() {
        host_.add_series(FLOWD_METRIC_COUNTER, "bus_samples_total", 5);
        host_.add_series(FLOWD_METRIC_GAUGE, "bus_flows_live", 3);
        config_.set("bindAddress", "::1");
    }
    ~MetricsTest() override { finish(); }

    /// A socket that the backend will find under the option.
    Endpoint offer(const std::string& option) {
        auto socket = http::listen_tcp({*Address::parse("::1"), 0}).value();
        const Endpoint endpoint = http::local_endpoint(socket.get());
        host_.offer_descriptor("tcp:" + endpoint.to_string(), std::move(socket));
        config_.set(option, std::to_string(endpoint.port));
        return endpoint;
    }
    void run() {
        thread_ = std::thread([this] {
            testing::Instance instance(host_, component<Metrics>(), config_);
            const flowd_result up = instance.bring_up();
            instance_ = &instance;
            up_.set_value(up);
            if (up != FLOWD_OK) return;
            EXPECT_EQ(instance.run(), FLOWD_OK);
            status_ = instance.status();
        });
        ASSERT_EQ(up_.get_future().get(), FLOWD_OK);
    }
    void deliver(const Event& event) {
        std::promise<void> delivered;
        host_.at_dispatch([&] {
            EXPECT_EQ(instance_->deliver(event), FLOWD_OK);
            delivered.set_value();
        });
        delivered.get_future().get();
    }
    std::string finish() {
        if (thread_.joinable()) {
            host_.request_stop();
            thread_.join();
        }
        return status_;
    }

    testing::FakeHost host_{"metrics"};
    testing::Config config_{component<Metrics>()};
    testing::Instance* instance_ = nullptr;
    std::promise<flowd_result> up_;
    std::string status_;
    std::thread thread_;
};

TEST_F(MetricsTest, AScrapeHasTheDaemonTheProcessAndTheFlows) {
    const Endpoint endpoint = offer("port");
    run();
    deliver(test::event_of(FLOWD_EVENT_START, 1));
    const test::Sampled sampled(1, test::moved(4321));
    deliver(sampled.event);
    const std::string answer = Client(endpoint).ask(get("/metrics"));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    EXPECT_THAT(answer, HasSubstr("# TYPE flowd_bus_samples_total counter\nflowd_bus_samples_total 5\n"));
    EXPECT_THAT(answer, HasSubstr("# TYPE flowd_bus_flows_live gauge\nflowd_bus_flows_live 3\n"));
    EXPECT_THAT(answer, HasSubstr("\nprocess_resident_memory_bytes "));
    EXPECT_THAT(answer, HasSubstr("\nprocess_open_fds "));
    EXPECT_THAT(answer,
                HasSubstr("\nflow_tcp_bytes_acked_total{act=\"16\",exp=\"2\",src=\"2001:db8::1\",dst=\"2001:db8::2\","
                          "flow=\"<10001:1094>\",flavour=\"netlink\"} 4321\n"));
    EXPECT_EQ(host_.metric("flows_live{experiment=\"2\",activity=\"16\"}")->value, 1);
    EXPECT_EQ(host_.metric("build_info{version=\"fake\"}")->value, 1);
    EXPECT_THAT(finish(), HasSubstr("\"scrapes\":1,\"refused\":0"));
}

TEST_F(MetricsTest, OpenMetricsAndGzipAreNegotiated) {
    const Endpoint endpoint = offer("port");
    run();
    const std::string answer =
        Client(endpoint).ask(get("/metrics", "Accept: application/openmetrics-text\r\nAccept-Encoding: gzip\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\nContent-Encoding: gzip\r\n"));
    const std::string text = unpacked(body_of(answer));
    EXPECT_THAT(text, StartsWith("# TYPE flowd_bus_samples counter\n"));
    EXPECT_THAT(text, HasSubstr("\nflowd_bus_samples_total 5\n"));
    EXPECT_EQ(text.substr(text.size() - 7), "\n# EOF\n");
}

TEST_F(MetricsTest, FlowdGosTwoPortsHaveOneEnricherEachAndTheDaemonsSeriesOnce) {
    const Endpoint netlink = offer("netlinkPort"), skops = offer("skopsPort");
    run();
    const test::Sampled one(1, test::moved(1), "netlink"), other(2, test::moved(1), "skops");
    deliver(one.event);
    deliver(other.event);
    const std::string first = Client(netlink).ask(get("/metrics")), second = Client(skops).ask(get("/metrics"));
    EXPECT_THAT(first, HasSubstr("flavour=\"netlink\""));
    EXPECT_THAT(first, Not(HasSubstr("flavour=\"skops\"")));
    EXPECT_THAT(first, HasSubstr("\nflowd_bus_samples_total 5\n"));
    EXPECT_THAT(second, HasSubstr("flavour=\"skops\""));
    EXPECT_THAT(second, Not(HasSubstr("flavour=\"netlink\"")));
    EXPECT_THAT(second, Not(HasSubstr("flowd_bus")));
}

TEST_F(MetricsTest, OtherPathsAndMethodsAreErrors) {
    const Endpoint endpoint = offer("port");
    run();
    Client client(endpoint);
    EXPECT_THAT(client.ask(get("/")), HasSubstr("\r\n\r\n/metrics\n"));
    EXPECT_THAT(client.ask(get("/metric")), StartsWith("HTTP/1.1 404"));
    EXPECT_THAT(client.ask("POST /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"),
                HasSubstr("Allow: GET, HEAD"));
    EXPECT_THAT(finish(), HasSubstr("\"scrapes\":0,\"refused\":2"));
    const auto refusals = host_.refusals();
    ASSERT_EQ(refusals.size(), 2u);
    EXPECT_EQ(refusals[0].reason, "not_found");
    EXPECT_EQ(refusals[0].first, "GET /metric HTTP/1.1");
    EXPECT_EQ(refusals[1].reason, "method_not_allowed");
}

TEST_F(MetricsTest, ATokenIsRequiredIfConfigured) {
    config_.set("token", "a-token-of-enough-characters");
    const Endpoint endpoint = offer("port");
    run();
    Client client(endpoint);
    EXPECT_THAT(client.ask(get("/metrics")), StartsWith("HTTP/1.1 401"));
    EXPECT_THAT(client.ask(get("/metrics", "Authorization: Bearer a-token-of-enough-characters\r\n")),
                StartsWith("HTTP/1.1 200"));
    finish();
    ASSERT_EQ(host_.refusals().size(), 1u);
    EXPECT_EQ(host_.refusals()[0].reason, "unauthorized");
    EXPECT_THAT(host_.refusals()[0].sender, StartsWith("[::1]:"));
}

}  // namespace
}  // namespace flowd::metrics
