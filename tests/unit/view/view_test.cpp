// SPDX-License-Identifier: Apache-2.0
#include "backends/view/view.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <list>
#include <thread>

#include "backends/view/security.hpp"
#include "flowd/testing/instance.hpp"
#include "lib/http/listening.hpp"
#include "tests/unit/http/client.hpp"
#include "tests/unit/view/flows.hpp"

namespace flowd::view {
namespace {

using http::test::Client;
using test::flow_of;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string token = "0123456789abcdef";

std::string get(const std::string& path, const std::string& more = "", const std::string& host = "localhost:8090") {
    return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + more + "\r\n";
}

/// The backend runs on a thread of its own, at a socket that it is handed.
class ViewTest : public ::testing::Test {
  protected:
    ViewTest() { config_.set("bindAddress", "::1"); }
    ~ViewTest() override { finish(); }

    void run() {
        auto socket = http::listen_tcp({*Address::parse("::1"), 0}).value();
        endpoint_ = http::local_endpoint(socket.get());
        host_.offer_descriptor("tcp:" + endpoint_.to_string(), std::move(socket));
        config_.set("port", std::to_string(endpoint_.port));
        thread_ = std::thread([this] {
            testing::Instance instance(host_, component<View>(), config_);
            const flowd_result up = instance.bring_up();
            up_.set_value(up);
            if (up != FLOWD_OK) return;
            EXPECT_EQ(instance.run(), FLOWD_OK);
        });
        ASSERT_EQ(up_.get_future().get(), FLOWD_OK);
    }
    void finish() {
        if (!thread_.joinable()) return;
        host_.request_stop();
        thread_.join();
    }
    std::string ask(const std::string& request) const { return Client(endpoint_).ask(request); }
    /// What a stream sends until it contains `part`.
    static std::string read_until(const Client& client, const std::string& part) {
        std::string all;
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (all.find(part) == std::string::npos && std::chrono::steady_clock::now() < end) all += client.next();
        return all;
    }

    testing::FakeHost host_{"view"};
    testing::Config config_{component<View>()};
    Endpoint endpoint_;
    std::promise<flowd_result> up_;
    std::thread thread_;
};

TEST_F(ViewTest, ThePageAllowsItsOwnScriptAndNothingElse) {
    run();
    const std::string first = ask(get("/")), second = ask(get("/"));
    EXPECT_THAT(first, StartsWith("HTTP/1.1 200 OK\r\n"));
    const auto at = first.find("script-src 'nonce-");
    ASSERT_NE(at, std::string::npos);
    const std::string nonce = first.substr(at + 18, 32);
    EXPECT_THAT(first, HasSubstr("default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'nonce-" + nonce + "'"));
    EXPECT_THAT(first, HasSubstr("<script nonce=\"" + nonce + "\">"));
    EXPECT_THAT(first, HasSubstr("<style nonce=\"" + nonce + "\">"));
    EXPECT_THAT(first, Not(HasSubstr("unsafe")));
    EXPECT_THAT(first, Not(HasSubstr("{{")));
    EXPECT_THAT(second, Not(HasSubstr(nonce))) << "a nonce is used once";
    for (const char* field : {"frame-ancestors 'none'", "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer",
                              "Cache-Control: no-store", "Cross-Origin-Resource-Policy: same-origin"})
        EXPECT_THAT(first, HasSubstr(field));
    EXPECT_THAT(first, Not(HasSubstr("Access-Control")));
}

TEST_F(ViewTest, EveryOtherResponseCarriesThePolicyToo) {
    run();
    for (const char* path : {"/ended", "/day", "/status", "/nothing", "/stream?order=sideways"})
        EXPECT_THAT(ask(get(path)), HasSubstr("Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"))
            << path;
}

TEST_F(ViewTest, OnlyGetAndHeadAreAnswered) {
    run();
    EXPECT_THAT(ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"), StartsWith("HTTP/1.1 405"));
    EXPECT_THAT(ask("DELETE /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 405"));
    EXPECT_THAT(ask(get("/..%2f")), StartsWith("HTTP/1.1 404"));
    Client client(endpoint_);
    client.send("HEAD /stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(client.rest(), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(ViewTest, ARequestForAnotherNameIsRefusedAtLoopback) {
    config_.set("hostNames", {"view.example.org"});
    run();
    for (const char* host :
         {"localhost", "LOCALHOST:8090", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8090", "view.example.org:443"})
        EXPECT_THAT(ask(get("/ended", "", host)), StartsWith("HTTP/1.1 200")) << host;
    for (const char* host :
         {"evil.example.org", "localhost.example.org", "view.example.org.evil.example", "192.0.2.1", "[::2]:8090", "",
          "[::1", "127.0.0.1.example.org", "[::1].example.org", "localhost:http", "localhost:80:80"})
        EXPECT_THAT(ask(get("/ended", "", host)), StartsWith("HTTP/1.1 421")) << host;
}

TEST_F(ViewTest, WithATokenOnlyThePageItselfIsShownWithoutIt) {
    config_.set("token", token);
    run();
    EXPECT_THAT(ask(get("/")), HasSubstr("data-token=\"required\""));
    for (const char* path : {"/stream", "/status", "/ended", "/day", "/explain?protocol=tcp&source=a&destination=b"})
        EXPECT_THAT(ask(get(path)), StartsWith("HTTP/1.1 401")) << path;
    EXPECT_THAT(ask(get("/ended?token=" + token)), StartsWith("HTTP/1.1 401")) << "a token is never part of an address";
    EXPECT_THAT(ask(get("/ended", "Authorization: Bearer " + token + "\r\n")), StartsWith("HTTP/1.1 200"));
}

TEST_F(ViewTest, AStreamTellsFlowsAsTheyComeAndGo) {
    host_.add_experiment(2, "atlas");
    host_.add_flow(flow_of(1));
    run();
    Client client(endpoint_);
    client.send(get("/stream?table=live"));
    const std::string text = read_until(client, R"("matched":1)");
    EXPECT_THAT(text, HasSubstr("Content-Type: application/x-ndjson"));
    EXPECT_THAT(text, HasSubstr(R"({"type":"hello")"));
    EXPECT_THAT(text, HasSubstr(R"("live":1)"));
    EXPECT_THAT(text, HasSubstr(R"("set":[["1","tcp","2001:db8:1::1",1,)"));
    EXPECT_THAT(text, HasSubstr("atlas"));
    host_.at_dispatch([&] { host_.remove_flows(); });
    EXPECT_THAT(read_until(client, R"("gone":["1"])"), HasSubstr(R"("gone":["1"])"));
}

TEST_F(ViewTest, AThirtyThirdStreamIsRefusedUntilOneIsClosed) {
    run();
    std::list<Client> open;
    for (std::size_t i = 0; i < View::most_streams; ++i) {
        open.emplace_back(endpoint_).send(get("/stream"));
        ASSERT_THAT(read_until(open.back(), "hello"), StartsWith("HTTP/1.1 200"));
    }
    EXPECT_THAT(ask(get("/stream")), StartsWith("HTTP/1.1 503"));
    EXPECT_THAT(ask(get("/ended")), StartsWith("HTTP/1.1 200")) << "streams take no other requests away";
    open.pop_front();
    std::string answer;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < end) {
        Client client(endpoint_);
        client.send(get("/stream"));
        answer = client.next();
        if (answer.starts_with("HTTP/1.1 200")) break;
    }
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
}

TEST_F(ViewTest, EndedFlowsAreFilteredAndPaged) {
    for (std::uint16_t n = 1; n <= 1500; ++n) {
        flowd_flow flow = flow_of(n, {n % 3u, 1});
        flow.end_time_ns = flow.start_time_ns + 5;
        flow.end_reason = FLOWD_END_ANNOUNCED;
        host_.add_ended_flow(flow);
    }
    run();
    const std::string first = ask(get("/ended"));
    EXPECT_THAT(first, HasSubstr(R"("next":")"));
    const auto at = first.find(R"("next":")") + 8;
    const std::string cursor = first.substr(at, first.find('"', at) - at);
    EXPECT_THAT(ask(get("/ended?cursor=" + cursor)), Not(HasSubstr("next")));
    EXPECT_THAT(ask(get("/ended?filter=experiment%3D1%20port%3D1")), HasSubstr(R"(["1","tcp")"));
    EXPECT_THAT(ask(get("/ended?cursor=x")), StartsWith("HTTP/1.1 400"));
    EXPECT_THAT(ask(get("/ended?filter=nonsense")), StartsWith("HTTP/1.1 400"));
    EXPECT_THAT(ask(get("/ended?limit=1")), StartsWith("HTTP/1.1 400"));
    EXPECT_THAT(ask(get("/ended?filter=port%3D1&filter=port%3D2")), StartsWith("HTTP/1.1 400")) << "which one is meant?";
    EXPECT_THAT(ask(get("/ended?filter=" + std::string(1025, '+'))), StartsWith("HTTP/1.1 400"));
    for (const char* forged : {"-1", "+1", "99x", "18446744073709551616"})
        EXPECT_THAT(ask(get(std::string("/ended?cursor=") + forged)), StartsWith("HTTP/1.1 400")) << forged;
}

TEST_F(ViewTest, TheDayIsSummedByTagInTheDirectionsOfThisHost) {
    flowd_minute minute{};
    minute.size = sizeof minute;
    minute.time_ns = unix_time_ns() / 300'000'000'000 * 300'000'000'000;
    minute.tag = {2, 3};
    minute.local = FLOWD_LOCAL_SOURCE;
    minute.started = 4;
    minute.bytes_sent = 100;
    minute.bytes_received = 7;
    host_.add_minute(minute);
    minute.time_ns += 60'000'000'000;
    minute.local = FLOWD_LOCAL_DESTINATION;
    host_.add_minute(minute);
    run();
    EXPECT_THAT(ask(get("/day")), HasSubstr(",8,0,107,107]]"));
}

TEST_F(ViewTest, WithoutTheExtensionOfTheCoreStatusAndExplanationsAreNotAvailable) {
    run();
    EXPECT_THAT(ask(get("/status")), StartsWith("HTTP/1.1 501"));
    EXPECT_THAT(ask(get("/explain?protocol=tcp&source=a&destination=b")), StartsWith("HTTP/1.1 501"));
    EXPECT_THAT(ask(get("/explain?protocol=tcp")), StartsWith("HTTP/1.1 400"));
}

TEST_F(ViewTest, AStopEndsTheStreams) {
    run();
    Client client(endpoint_);
    client.send(get("/stream"));
    ASSERT_THAT(read_until(client, "hello"), HasSubstr("hello"));
    finish();
    EXPECT_THAT(client.rest(), ::testing::EndsWith("0\r\n\r\n"));
}

TEST(NonceTest, AreHexadecimalAndDiffer) {
    const std::string one = random_nonce();
    EXPECT_EQ(one.size(), 32u);
    EXPECT_EQ(one.find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_NE(one, random_nonce());
}

}  // namespace
}  // namespace flowd::view
