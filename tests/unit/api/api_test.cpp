// SPDX-License-Identifier: Apache-2.0
#include "plugins/api/api.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "flowd/testing/instance.hpp"
#include "lib/http/listening.hpp"
#include "tests/unit/http/client.hpp"

namespace flowd::api {
namespace {

namespace fs = std::filesystem;
using http::test::Client;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string start = R"({"state":"start","protocol":"tcp","source":{"address":"2001:db8::1","port":2345},)"
                          R"("destination":{"address":"2001:db8::2","port":1094},"experiment":2,"activity":16})";

std::string get(const std::string& path, const std::string& more = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: h\r\n" + more + "\r\n";
}
std::string post(const std::string& body, const std::string& type = "application/json", const std::string& query = "") {
    return "POST /flow" + query + " HTTP/1.1\r\nHost: h\r\nContent-Type: " + type +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// The plugin runs on a thread of its own, as in the daemon, at a socket that it is handed: no port is fought over.
class ApiTest : public ::testing::Test {
  protected:
    ApiTest() {
        std::string name = (fs::temp_directory_path() / "flowd-api-XXXXXX").string();
        folder_ = ::mkdtemp(name.data());
        socket_ = std::move(http::listen_tcp({*Address::parse("::1"), 0}).value());
        endpoint_ = http::local_endpoint(socket_.get());
        config_.set("bindAddress", "::1").set("bindPort", std::to_string(endpoint_.port));
        config_.set("socketPath", (folder_ / "socket").string());
    }
    ~ApiTest() override {
        finish();
        fs::remove_all(folder_);
    }
    void run() {
        host_.offer_descriptor("tcp:" + endpoint_.to_string(), UniqueFd(::dup(socket_.get())));
        socket_.reset();
        thread_ = std::thread([this] {
            testing::Instance instance(host_, component<Api>(), config_);
            instance_ = &instance;
            const flowd_result up = instance.bring_up();
            up_.set_value(up);
            if (up != FLOWD_OK) return;
            EXPECT_EQ(instance.run(), FLOWD_OK);
            status_ = instance.status();
            starts_ = host_.metric("api_events_total{state=\"start\"}");
            answers_ = host_.metric("api_responses_total{code=\"200\"}");
        });
        ASSERT_EQ(up_.get_future().get(), FLOWD_OK);
    }
    /// Stops the plugin; answers what it showed as its status then.
    std::string finish() {
        if (thread_.joinable()) {
            host_.request_stop();
            thread_.join();
        }
        return status_;
    }
    template <typename Predicate>
    static bool eventually(Predicate done) {
        for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10); !done();) {
            if (std::chrono::steady_clock::now() > end) return false;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return true;
    }
    [[nodiscard]] bool shows(const std::string& part) {
        std::promise<std::string> status;
        host_.at_dispatch([&] { status.set_value(instance_->status()); });
        return status.get_future().get().find(part) != std::string::npos;
    }
    /// As when every backend has taken what was emitted.
    void take_all() {
        host_.at_dispatch([this] { host_.pass_marks(host_.marks()); });
    }
    /// As the core says it, on the instance's thread.
    void make_room() {
        host_.at_dispatch([this] { instance_->on_room(); });
    }
    flowd_result validate() {
        testing::Instance instance(host_, component<Api>(), config_);
        return instance.validate();
    }
    void write_token(const std::string& token) { config_.set("token", token); }

    fs::path folder_;
    UniqueFd socket_;
    Endpoint endpoint_;
    testing::FakeHost host_{"api"};
    testing::Config config_{component<Api>()};
    testing::Instance* instance_ = nullptr;  ///< while the thread runs
    std::promise<flowd_result> up_;
    std::string status_;
    std::optional<testing::RecordedMetric> starts_, answers_;  ///< at the stop
    std::thread thread_;
};

TEST_F(ApiTest, AnnouncesPostedFlows) {
    run();
    Client client(endpoint_);
    EXPECT_THAT(client.ask(post(start)), HasSubstr("\r\n\r\n{\"accepted\":1}\n"));
    const auto events = host_.events();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(source_of(events[0]->key).to_string(), "[2001:db8::1]:2345");
    EXPECT_NE(events[0]->sender, 0u);
    Client local(folder_ / "socket");
    EXPECT_THAT(local.ask(post("[" + start + "," + start + "]", "application/json; charset=utf-8")),
                HasSubstr("{\"accepted\":2}"));
    ASSERT_EQ(host_.events().size(), 3u);
    EXPECT_NE(host_.events()[1]->sender, events[0]->sender) << "a user is another sender than an address";
    EXPECT_THAT(finish(), HasSubstr(R"("announced":{"start":3,"ongoing":0,"end":0})"));
}

TEST_F(ApiTest, AnswersPagesInOrder) {
    flowd_flow flow{};
    flow.size = sizeof flow;
    for (flow.flow_id = 1; flow.flow_id <= 100'000; ++flow.flow_id) host_.add_flow(flow);
    run();
    Client client(endpoint_);
    client.send(get("/flows?limit=1") + get("/flows?limit=1&cursor=1") + get("/flows?limit=1&cursor=2") + post(start));
    for (const char* id : {"1", "2", "3"}) EXPECT_THAT(client.answer(), HasSubstr(std::string("[{\"id\":") + id + ","));
    EXPECT_THAT(client.answer(), HasSubstr("{\"accepted\":1}"));
}

TEST_F(ApiTest, HasExplicitPrecedence) {
    EXPECT_EQ(component<Api>().precedence, static_cast<std::uint32_t>(FLOWD_PRECEDENCE_EXPLICIT));
}

TEST_F(ApiTest, HasThePlaceholderEndpointsOfFlowdGo) {
    run();
    Client client(endpoint_);
    EXPECT_THAT(
        client.ask(get("/dummy/start")),
        HasSubstr(R"({"State":2,"Protocol":0,"Family":10,"Src":"[::1]:2345","Dst":"[::1]:5777","Experiment":65535,)"));
    EXPECT_THAT(client.ask(get("/dummy/end")), HasSubstr(R"({"State":3,)"));
    ASSERT_EQ(host_.events().size(), 2u);
    EXPECT_EQ(host_.events()[1]->kind, static_cast<std::uint32_t>(FLOWD_EVENT_END));
}

TEST_F(ApiTest, ListsItsPathsAsFlowdGoDoes) {
    run();
    Client client(endpoint_);
    const std::string answer = client.ask(get("/"));
    EXPECT_THAT(answer, HasSubstr(R"({"ApiRoutes":[{"method":"POST","path":"/flow","name":)"));
    EXPECT_THAT(answer, HasSubstr(R"("path":"/dummy/end")"));
}

TEST_F(ApiTest, ReportsErrorsAsProblems) {
    run();
    Client client(endpoint_);
    EXPECT_THAT(client.ask(get("/nothing")), StartsWith("HTTP/1.1 404 "));
    EXPECT_THAT(client.ask("DELETE /flow HTTP/1.1\r\nHost: h\r\n\r\n"), HasSubstr("\r\nAllow: POST\r\n"));
    EXPECT_THAT(client.ask("DELETE /flows HTTP/1.1\r\nHost: h\r\n\r\n"), HasSubstr("\r\nAllow: POST, GET, HEAD\r\n"));
    EXPECT_THAT(client.ask(get("/flows?limit=0")), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(client.ask(post("{}")), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(client.ask(post(start, "text/plain")), StartsWith("HTTP/1.1 415 ")) << "a web page could send that unasked";
    EXPECT_TRUE(host_.events().empty());
    EXPECT_THAT(finish(), HasSubstr(R"("answers":{"400":2,"404":1,"405":2,"415":1})"));
}

TEST_F(ApiTest, WaitsForRoomInTheQueuesBeforeItAnswers) {
    config_.set("fullTimeout", "60s");
    run();
    Client client(endpoint_), other(endpoint_);
    host_.accept(1);
    client.send(post("[" + start + "," + start + "," + start + "]"));
    ASSERT_TRUE(eventually([&] { return host_.events().size() == 1; }));
    host_.accept(1);
    other.send(post(start));  // gets no place in front of the one that waits
    client.send(get("/"));    // behind it, on a connection that is not read
    ASSERT_TRUE(eventually([&] { return shows("\"waited\":2"); }));
    EXPECT_EQ(host_.events().size(), 1u);
    make_room();
    ASSERT_TRUE(eventually([&] { return host_.events().size() == 2; }));
    host_.accept_all();
    make_room();
    EXPECT_THAT(client.answer(), HasSubstr("\r\n\r\n{\"accepted\":3}\n"));
    EXPECT_THAT(client.answer(), HasSubstr("ApiRoutes"));
    EXPECT_THAT(other.answer(), HasSubstr("{\"accepted\":1}"));
    EXPECT_EQ(host_.events().size(), 4u) << "none is lost, none is there twice";
    EXPECT_THAT(finish(), HasSubstr(R"("waiting":0,"waited":2,"full":0)"));
}

TEST_F(ApiTest, ForgetsAClientThatLeavesBeforeItsAnswer) {
    config_.set("fullTimeout", "60s");
    run();
    host_.accept(0);
    {
        Client client(folder_ / "socket");  // where the write of the answer fails at once
        client.send(post(start));
        ASSERT_TRUE(eventually([&] { return shows("\"waiting\":1"); }));
    }
    host_.accept_all();
    make_room();
    EXPECT_TRUE(eventually([&] { return shows("\"connections\":0"); }));
    EXPECT_EQ(host_.events().size(), 1u);
}

TEST_F(ApiTest, AnswersPipelinedAnnouncementsInTheirOrder) {
    run();
    Client client(endpoint_), other(endpoint_);
    client.send(post(start) + post("[" + start + "," + start + "]") + post("[]") + post(start));
    other.send(post(start));
    for (const char* expected : {"{\"accepted\":1}", "{\"accepted\":2}", "400 Bad Request", "{\"accepted\":1}"})
        EXPECT_THAT(client.answer(), HasSubstr(expected));
    EXPECT_THAT(other.answer(), HasSubstr("{\"accepted\":1}"));
    EXPECT_EQ(host_.events().size(), 5u);
}

TEST_F(ApiTest, WithWaitTakenAnswersAfterTheBackendsHaveTakenTheEvents) {
    config_.set("takenTimeout", "60s");
    run();
    Client client(endpoint_), dummy(endpoint_), hurries(endpoint_);
    client.send(post(start, "application/json", "?wait=taken"));
    dummy.send(get("/dummy/start?wait=taken"));
    ASSERT_TRUE(eventually([&] { return shows("\"waitingTaken\":2"); }));
    EXPECT_THAT(hurries.ask(post(start)), StartsWith("HTTP/1.1 200 ")) << "others do not wait";
    take_all();
    EXPECT_THAT(client.answer(), HasSubstr("{\"accepted\":1}"));
    EXPECT_THAT(dummy.answer(), HasSubstr("\"State\":2"));
    EXPECT_THAT(finish(), HasSubstr(R"("waitingTaken":0,"waitedTaken":2,"notTakenInTime":0)"));
}

TEST_F(ApiTest, RefusesOtherParametersOfAnAnnouncement) {
    run();
    Client client(endpoint_);
    for (const char* query : {"?wait=accepted", "?wait", "?Wait=taken", "?wait=taken&limit=1"})
        EXPECT_THAT(client.ask(post(start, "application/json", query)), StartsWith("HTTP/1.1 400 ")) << query;
    EXPECT_THAT(client.ask(get("/dummy/end?wait=sent")), StartsWith("HTTP/1.1 400 "));
    EXPECT_TRUE(host_.events().empty());
}

TEST_F(ApiTest, AnswersRequestsThatWaitForBackendsBeforeItStops) {
    config_.set("takenTimeout", "60s");
    run();
    Client client(endpoint_);
    client.send(post(start, "application/json", "?wait=taken"));
    ASSERT_TRUE(eventually([&] { return shows("\"waitingTaken\":1"); }));
    host_.request_stop();
    EXPECT_THAT(client.answer(), StartsWith("HTTP/1.1 503 "));
    finish();
    EXPECT_FALSE(host_.logged("cut at the stop"));
}

TEST_F(ApiTest, WaitsForTheBackendsAtMostTheIdleTimeout) {
    config_.set("takenTimeout", "20s").set("idleTimeout", "10s");
    EXPECT_EQ(validate(), FLOWD_INVALID);
    EXPECT_EQ(host_.problems().at(0).option, "takenTimeout");
}

TEST_F(ApiTest, LimitsWaitingRequests) {
    config_.set("fullTimeout", "60s").set("maxBody", "8 MiB");
    run();
    std::string many = "[" + start;
    for (int i = 1; i < 10'000; ++i) many += "," + start;
    many += "]";
    host_.accept(0);
    Client first(endpoint_), second(endpoint_), third(endpoint_);
    first.send(post(many));
    second.send(post(many));
    ASSERT_TRUE(eventually([&] { return shows("\"waiting\":2"); }));
    EXPECT_THAT(third.ask(post(start)), StartsWith("HTTP/1.1 503 ")) << "at once";
    host_.accept_all();
    make_room();
    EXPECT_THAT(first.answer(), HasSubstr("{\"accepted\":10000}"));
    EXPECT_THAT(second.answer(), HasSubstr("{\"accepted\":10000}"));
    EXPECT_THAT(third.ask(post(start)), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ApiTest, AnswersWaitingRequestsBeforeItStops) {
    config_.set("fullTimeout", "60s");
    run();
    Client client(endpoint_);
    host_.accept(0);
    client.send(post(start));
    ASSERT_TRUE(eventually([&] { return shows("\"waited\":1"); }));
    host_.request_stop();
    const std::string answer = client.answer();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(answer, HasSubstr("the daemon is stopping"));
}

TEST_F(ApiTest, AnswersARequestThatIsCompletedDuringTheStop) {
    config_.set("fullTimeout", "60s");
    run();
    Client client(endpoint_), waiting(endpoint_);
    host_.accept(0);
    client.send(post(start).substr(0, 40));
    waiting.send(post(start));
    ASSERT_TRUE(eventually([&] { return shows("\"connections\":2") && shows("\"waited\":1"); }));
    host_.request_stop();
    EXPECT_THAT(waiting.answer(), StartsWith("HTTP/1.1 503 ")) << "the stop is under way";
    client.send(post(start).substr(40));
    EXPECT_THAT(client.answer(), StartsWith("HTTP/1.1 503 "));
    finish();
    EXPECT_FALSE(host_.logged("cut at the stop"));
}

TEST_F(ApiTest, CountsRequestsAbortedByTheStop) {
    run();
    Client client(endpoint_), other(endpoint_);
    client.send(post(start).substr(0, 40));
    for (int i = 0; i < 2; ++i) EXPECT_THAT(other.ask(get("/")), StartsWith("HTTP/1.1 200 ")) << "the half has been read";
    host_.at_dispatch([this] { host_.on_stop([this] { (void)instance_->stop(std::chrono::milliseconds(100)); }); });
    finish();
    EXPECT_EQ(host_.lost(), 1u) << "it is in the exit code";
    EXPECT_TRUE(host_.logged("1 requests were cut at the stop"));
}

TEST_F(ApiTest, Answers503WhileTheQueuesAreFull) {
    config_.set("fullTimeout", "10ms");
    run();
    Client client(endpoint_);
    host_.accept(1);
    const std::string answer = client.ask(post("[" + start + "," + start + "," + start + "]"));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(answer, HasSubstr("\r\nRetry-After: 1\r\n"));
    EXPECT_THAT(answer, HasSubstr(R"("accepted":1)"));
    host_.accept_all();
    EXPECT_THAT(client.ask(post(start)), StartsWith("HTTP/1.1 200 ")) << "the connection is as good as before";
    EXPECT_EQ(host_.events().size(), 2u);
}

TEST_F(ApiTest, AnswersEachFlowOfAListByItself) {
    run();
    Client client(endpoint_);
    const auto post_each = [&](const std::string& body) {
        std::string request = post(body);
        return client.ask(request.replace(0, 10, "POST /flows"));
    };
    const std::string bad = R"({"state":"start","source":{"address":"2001:db8::1"}})";
    EXPECT_THAT(post_each("[" + start + "]"), HasSubstr("\r\n\r\n{\"accepted\":1,\"refused\":[]}\n"));
    const std::string some = post_each("[" + bad + "," + start + ",7," + start + "]");
    EXPECT_THAT(some, StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(some, HasSubstr(R"({"accepted":2,"refused":[{"flow":0,"detail":")"));
    EXPECT_THAT(some, HasSubstr(R"({"flow":2,"detail":"is not an object"}]})"));
    EXPECT_EQ(host_.events().size(), 3u);
    EXPECT_THAT(post_each("[" + bad + "]"), HasSubstr(R"({"accepted":0,"refused":[{"flow":0,)"));
    host_.accept(1, FLOWD_LIMIT);
    EXPECT_THAT(post_each("[" + start + "," + bad + "," + start + "]"),
                AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr(R"({"accepted":1,"refused":[{"flow":1,"detail":")"),
                      HasSubstr(R"({"flow":2,"detail":"a limit of live flows is reached)")));
    EXPECT_THAT(post_each("[]"), StartsWith("HTTP/1.1 400 "));
}

TEST_F(ApiTest, NamesTheEventsThatTheCoreRefuses) {
    run();
    Client client(endpoint_);
    host_.accept(2, FLOWD_LIMIT);
    const std::string capped = client.ask(post("[" + start + "," + start + "," + start + "," + start + "]"));
    EXPECT_THAT(capped, StartsWith("HTTP/1.1 429 "));
    EXPECT_THAT(capped, HasSubstr(R"("accepted":2,"refused":2,"refusedAt":[2,3])"));
    host_.accept(0, FLOWD_INVALID);
    EXPECT_THAT(client.ask(post(start)), StartsWith("HTTP/1.1 422 "));
    host_.accept(0, FLOWD_STOPPED);
    EXPECT_THAT(client.ask(post(start)), HasSubstr("the daemon is stopping"));
    const auto refusals = host_.refusals();
    ASSERT_EQ(refusals.size(), 2u) << "what the daemon cannot take is not refused";
    EXPECT_EQ(refusals[0].reason, "too_many_requests");
    EXPECT_THAT(refusals[0].first, StartsWith("POST /flow HTTP/1.1 [{\"state\":\"start\""));
    EXPECT_EQ(refusals[1].reason, "unprocessable_content");
}

TEST_F(ApiTest, ReportsARefusalAfterAWaitToTheCore) {
    config_.set("fullTimeout", "60s");
    run();
    Client client(endpoint_);
    host_.accept(0);
    client.send(post(start));
    ASSERT_TRUE(eventually([&] { return shows("\"waited\":1"); }));
    host_.accept(0, FLOWD_LIMIT);
    make_room();
    EXPECT_THAT(client.answer(), StartsWith("HTTP/1.1 429 "));
    ASSERT_EQ(host_.refusals().size(), 1u);
    EXPECT_EQ(host_.refusals()[0].reason, "too_many_requests");
    EXPECT_THAT(host_.refusals()[0].first, StartsWith("POST /flow HTTP/1.1 {\"state\":\"start\""));
}

TEST_F(ApiTest, RequiresTheTokenOverTcpButNotAtTheUnixSocket) {
    write_token("a-token-of-enough-characters");
    run();
    Client client(endpoint_), local(folder_ / "socket");
    for (const char* path : {"/", "/flows", "/openapi.json", "/dummy/start", "/nothing"}) {
        const std::string answer = client.ask(get(path));
        EXPECT_THAT(answer, StartsWith("HTTP/1.1 401 "));
        EXPECT_THAT(answer, HasSubstr("\r\nWWW-Authenticate: Bearer\r\n"));
    }
    EXPECT_THAT(client.ask(get("/flows", "Authorization: Bearer a-token-of-enough-character\r\n")),
                StartsWith("HTTP/1.1 401 "));
    EXPECT_THAT(client.ask(get("/flows", "Authorization: Bearer a-token-of-enough-characters\r\n")),
                StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(local.ask(get("/flows")), StartsWith("HTTP/1.1 200 "));
    EXPECT_TRUE(host_.events().empty());
    ASSERT_EQ(host_.refusals().size(), 6u);
    for (const auto& refusal : host_.refusals()) {
        EXPECT_EQ(refusal.reason, "unauthorized");
        EXPECT_THAT(refusal.first, Not(HasSubstr("token"))) << "neither the right one nor what was sent";
    }
}

TEST_F(ApiTest, AnswersCurrentRequestsBeforeItStops) {
    run();
    Client client(endpoint_), idle(endpoint_);
    idle.ask(get("/"));
    client.send(post(start).substr(0, 40));
    std::thread later([&] { client.send(post(start).substr(40)); });
    later.join();
    EXPECT_THAT(client.answer(), StartsWith("HTTP/1.1 200 "));
    finish();
    EXPECT_EQ(idle.rest(), "");
    EXPECT_FALSE(host_.logged("cut at the stop"));
    ASSERT_TRUE(starts_ && answers_);
    EXPECT_EQ(starts_->value, 1);
    EXPECT_EQ(answers_->value, 2);
}

TEST_F(ApiTest, RemovesItsUnixSocket) {
    run();
    EXPECT_TRUE(fs::exists(folder_ / "socket"));
    finish();
    EXPECT_FALSE(fs::exists(folder_ / "socket"));
    EXPECT_FALSE(host_.keeps("unix:" + (folder_ / "socket").string()));
}

TEST_F(ApiTest, DoesNotRemoveAFileThatReplacedItsSocket) {
    run();
    fs::remove(folder_ / "socket");
    std::ofstream(folder_ / "socket") << "somebody else's";
    finish();
    EXPECT_TRUE(fs::exists(folder_ / "socket"));
}

TEST_F(ApiTest, KeepsItsSocketsForASuccessor) {
    run();
    EXPECT_TRUE(host_.keeps("tcp:" + endpoint_.to_string()));
    EXPECT_TRUE(host_.keeps("unix:" + (folder_ / "socket").string()));
}

TEST_F(ApiTest, NamesTheBusyPort) {
    testing::Instance instance(host_, component<Api>(), config_);
    EXPECT_EQ(instance.bring_up(), FLOWD_BUSY);
    EXPECT_EQ(host_.problems().at(0).option, "bindPort");
}

TEST_F(ApiTest, RefusesAnInvalidToken) {
    write_token("short");
    testing::Instance instance(host_, component<Api>(), config_);
    EXPECT_EQ(instance.bring_up(), FLOWD_INVALID);
    EXPECT_EQ(host_.problems().at(0).option, "token");
}

TEST_F(ApiTest, RequiresATokenOutsideOfLoopback) {
    for (const char* address : {"0.0.0.0", "::", "192.0.2.1", "2001:db8::1"}) {
        host_.forget();
        config_.set("bindAddress", address);
        EXPECT_EQ(validate(), FLOWD_INVALID) << address;
        EXPECT_EQ(host_.problems().at(0).option, "tokenFile");
    }
    config_.set("token", "0123456789abcdef");
    EXPECT_EQ(validate(), FLOWD_OK);
    for (const char* address : {"127.0.0.1", "127.1.2.3", "::1"}) {
        testing::Config config(component<Api>());
        config_ = config.set("bindAddress", address);
        EXPECT_EQ(validate(), FLOWD_OK) << address;
    }
}

TEST_F(ApiTest, RefusesNoListenersAndInvalidModes) {
    config_ = testing::Config(component<Api>()).set("bindPort", "0");
    EXPECT_EQ(validate(), FLOWD_INVALID);
    config_.set("socketPath", "/run/x");
    EXPECT_EQ(validate(), FLOWD_OK);
    for (const char* mode : {"", "660x", "0888", "1777", "rw"}) {
        config_.set("socketMode", mode);
        EXPECT_EQ(validate(), FLOWD_INVALID) << mode;
    }
}

TEST_F(ApiTest, MayBeStoppedTwiceAndWithoutStart) {
    testing::Instance instance(host_, component<Api>(), config_);
    ASSERT_EQ(instance.create(), FLOWD_OK);
    EXPECT_EQ(instance.stop(), FLOWD_OK);
    EXPECT_EQ(instance.stop(), FLOWD_OK);
}

}  // namespace
}  // namespace flowd::api
