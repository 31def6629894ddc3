// SPDX-License-Identifier: Apache-2.0
#include "lib/http/server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "lib/http/listening.hpp"
#include "tests/unit/http/client.hpp"

namespace flowd::http {
namespace {

using test::Client;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string ask = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";

/// A server on a thread of its own, at [::1] and at a Unix socket.
class ServerTest : public ::testing::Test {
  protected:
    template <typename Work>
    auto on_loop(Work work) {
        std::packaged_task<decltype(work())()> task(work);
        auto done = task.get_future();
        boost::asio::post(loop_, [&] { task(); });
        return done.get();
    }
    ServerTest() {
        std::string name = (std::filesystem::temp_directory_path() / "flowd-http-XXXXXX").string();
        folder_ = ::mkdtemp(name.data());
    }
    ~ServerTest() override {
        on_loop([&] {
            later_.reset();
            stream_ = {};
            server_.reset();
        });
        loop_.stop();
        thread_.join();
        std::filesystem::remove_all(folder_);
    }
    void start(const Limits& limits = {}) {
        auto tcp = listen_tcp({*Address::parse("::1"), 0});
        auto local = listen_unix(path(), 0600);
        ASSERT_TRUE(tcp && local);
        endpoint_ = local_endpoint(tcp->get());
        server_.emplace(
            loop_, limits, [this](const Request& request, Reply reply) { handle(request, std::move(reply)); },
            [this](unsigned status, const Peer&, std::string_view first) {
                refused_.push_back(std::to_string(status) + " " + std::string(first));
            });
        ASSERT_TRUE(server_->serve(std::move(*tcp)));
        ASSERT_TRUE(server_->serve(std::move(*local)));
        thread_ = std::thread([this] { loop_.run(); });
    }
    void handle(const Request& request, Reply reply) {
        if (request.path == "/later") {
            later_.emplace(std::move(reply));
            waiting_ = true;
        } else if (request.path == "/stream") {
            stream_ = reply.stream({.content_type = "text/plain"});
        } else {
            const std::string who = request.peer.is_local() ? "user " + std::to_string(*request.peer.user)
                                                            : request.peer.endpoint.address.to_string();
            reply({.body = request.path == "/big"    ? std::string(8 << 20, 'x')
                           : request.path == "/huge" ? std::string(32 << 20, 'x')
                                                     : who});
        }
    }
    bool comes_true(const std::function<bool()>& condition) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!on_loop(condition)) {
            if (std::chrono::steady_clock::now() > end) return false;
            std::this_thread::yield();
        }
        return true;
    }
    /// The client goes on sending `piece`, slowly: what is tested.
    static bool is_closed_while_it_sends(const Client& client, std::string_view piece) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(9);
        while (client.send(piece)) {
            if (std::chrono::steady_clock::now() > end) return false;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return true;
    }
    [[nodiscard]] std::filesystem::path path() const { return folder_ / "socket"; }

    std::filesystem::path folder_;
    boost::asio::io_context loop_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{loop_.get_executor()};
    std::vector<std::string> refused_;
    std::optional<Server> server_;
    std::optional<Reply> later_;
    Stream stream_;
    std::atomic<bool> waiting_{false};
    Endpoint endpoint_;
    std::thread thread_;
};

TEST_F(ServerTest, AnswersOverTcpAndUnixSocketsWithThePeersIdentity) {
    start();
    Client tcp(endpoint_), local(path());
    for (int i = 0; i < 3; ++i) {
        EXPECT_THAT(tcp.ask(ask), HasSubstr("\r\n\r\n::1"));
        EXPECT_THAT(local.ask(ask), HasSubstr("\r\n\r\nuser " + std::to_string(::getuid())));
    }
    EXPECT_EQ(on_loop([&] { return server_->counts().connections; }), 2u);
    EXPECT_EQ(on_loop([&] { return server_->counts().requests; }), 6u);
}

TEST_F(ServerTest, ServesManyConnectionsAtOnce) {
    start();
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 200; ++i) clients.push_back(std::make_unique<Client>(endpoint_));
    for (const auto& client : clients) client->send(ask + ask);
    for (const auto& client : clients) {
        EXPECT_THAT(client->answer(), StartsWith("HTTP/1.1 200"));
        EXPECT_THAT(client->answer(), StartsWith("HTTP/1.1 200"));
    }
    EXPECT_EQ(on_loop([&] { return server_->connections(); }), 200u);
    clients.clear();
    EXPECT_TRUE(comes_true([&] { return !server_->busy(); }));
}

TEST_F(ServerTest, AnswersConnectionsBeyondTheCapWith503) {
    start({.max_connections = 2});
    Client one(endpoint_), two(endpoint_);
    EXPECT_THAT(one.ask(ask), StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(two.ask(ask), StartsWith("HTTP/1.1 200"));
    Client three(endpoint_);
    EXPECT_THAT(three.rest(), StartsWith("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"));
    EXPECT_THAT(one.ask(ask), StartsWith("HTTP/1.1 200"));
    EXPECT_EQ(on_loop([&] { return server_->counts().over_cap; }), 1u);
    EXPECT_EQ(on_loop([&] { return refused_; }), std::vector<std::string>{"503 "});
}

/// As if other parts of the process had taken all descriptors but `left`.
class OpenFiles {
  public:
    explicit OpenFiles(rlim_t left) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const UniqueFd next(::dup(0));
        const rlimit fewer{static_cast<rlim_t>(next.get()) + left, before_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &fewer);
    }
    OpenFiles(const OpenFiles&) = delete;
    OpenFiles& operator=(const OpenFiles&) = delete;
    ~OpenFiles() { ::setrlimit(RLIMIT_NOFILE, &before_); }

  private:
    rlimit before_{};
};

TEST_F(ServerTest, DoesNotExhaustTheDescriptorsOfTheProcess) {
    start();
    std::vector<std::unique_ptr<Client>> clients;
    const OpenFiles files(200);
    for (int i = 0; i < 90; ++i) clients.push_back(std::make_unique<Client>(endpoint_));  // each is two of them
    ASSERT_TRUE(comes_true([&] { return server_->counts().connections == 90; }));
    EXPECT_GT(on_loop([&] { return server_->counts().starved; }), 0u);
    EXPECT_THAT(clients.back()->rest(), StartsWith("HTTP/1.1 503"));
    EXPECT_THAT(clients.front()->ask(ask), StartsWith("HTTP/1.1 200"));
    EXPECT_TRUE(UniqueFd(::dup(0))) << "a descriptor is left";
    clients.clear();
    ASSERT_TRUE(comes_true([&] { return !server_->busy(); }));
    EXPECT_THAT(Client(endpoint_).ask(ask), StartsWith("HTTP/1.1 200")) << "it serves again";
}

// case C57
TEST_F(ServerTest, CountsConnectionsThatCannotBeAcceptedAndServesThemLater) {
    start();
    std::unique_ptr<Client> client;
    {
        const OpenFiles files(1);  // which the client takes
        client = std::make_unique<Client>(endpoint_);
        ASSERT_TRUE(comes_true([&] { return server_->counts().not_accepted > 0; }));
    }
    EXPECT_THAT(client->ask(ask), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, AnswersAClientThatShutDownItsSendingSide) {
    start();
    Client client(endpoint_);
    client.send(ask + ask.substr(0, 9));
    client.no_more();
    EXPECT_THAT(client.rest(), HasSubstr("::1")) << "and closes, because the rest will never come";
}

TEST_F(ServerTest, ClosesAConnectionWhoseRequestDoesNotArrive) {
    start({.request_timeout = std::chrono::seconds(1)});
    Client slow(endpoint_);
    slow.send("GET / HTTP/1.1\r\n");
    EXPECT_TRUE(is_closed_while_it_sends(slow, "X: y\r\n"));
    EXPECT_EQ(slow.rest(), "");
    EXPECT_EQ(on_loop([&] { return server_->counts().timed_out; }), 1u);
    EXPECT_EQ(on_loop([&] { return refused_; }), std::vector<std::string>{"408 GET / HTTP/1.1"});
}

TEST_F(ServerTest, ClosesAConnectionThatIsIdle) {
    start({.idle_timeout = std::chrono::seconds(1)});
    Client silent(endpoint_), done(endpoint_);
    done.ask(ask);
    EXPECT_EQ(silent.rest(), "");
    EXPECT_EQ(done.rest(), "");
}

TEST_F(ServerTest, EmptyLinesDoNotKeepAConnectionOpen) {
    start({.idle_timeout = std::chrono::seconds(1)});
    Client client(endpoint_);
    EXPECT_TRUE(is_closed_while_it_sends(client, "\r\n"));
    EXPECT_EQ(client.rest(), "");
    EXPECT_EQ(on_loop([&] { return server_->counts().timed_out; }), 1u);
}

TEST_F(ServerTest, ASlowClientGetsTheWholeAnswer) {
    start({.idle_timeout = std::chrono::seconds(3)});
    Client client(endpoint_);
    client.send("GET /huge HTTP/1.1\r\nHost: h\r\n\r\n");
    const auto begin = std::chrono::steady_clock::now();
    std::size_t taken = 0;
    for (std::string piece = client.next(256 * 1024); !piece.empty(); piece = client.next(256 * 1024)) {
        taken += piece.size();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));  // a slow client: what is tested
    }
    EXPECT_GT(taken, std::size_t{32} << 20);
    EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3)) << "longer than the timeout";
}

TEST_F(ServerTest, ARefusedClientCanReadTheReason) {
    start({.max_body = 1000});
    Client client(endpoint_);
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n");
    client.send(std::string(2'000'000, 'x'));
    EXPECT_THAT(client.answer(), StartsWith("HTTP/1.1 413 Content Too Large"));
}

TEST_F(ServerTest, SendsALongAnswerToASlowReader) {
    start();
    Client client(endpoint_);
    client.send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n" + ask);
    EXPECT_GT(client.answer().size(), std::size_t{8} << 20);
    EXPECT_THAT(client.answer(), HasSubstr("::1"));
}

TEST_F(ServerTest, DrainingFinishesOnlyCurrentRequests) {
    start();
    Client idle(endpoint_), busy(endpoint_);
    idle.ask(ask);
    busy.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n" + ask);
    ASSERT_TRUE(comes_true([&] { return waiting_.load(); }));
    on_loop([&] { server_->drain(); });
    EXPECT_EQ(idle.rest(), "");
    EXPECT_TRUE(on_loop([&] { return server_->busy(); }));
    EXPECT_THROW(Client{endpoint_}, std::runtime_error) << "nobody listens";
    on_loop([&] { (*later_)({.body = "late"}); });
    EXPECT_THAT(busy.rest(), HasSubstr("Connection: close\r\n\r\nlate"));
    EXPECT_TRUE(comes_true([&] { return !server_->busy(); }));
}

TEST_F(ServerTest, ClosingAbortsRemainingRequests) {
    start();
    Client busy(endpoint_);
    busy.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(comes_true([&] { return waiting_.load(); }));
    on_loop([&] { server_->close(); });
    EXPECT_EQ(busy.rest(), "");
    on_loop([&] { (*later_)({}); });
}

TEST_F(ServerTest, AClientThatDoesNotReadItsStreamIsDisconnected) {
    start({.idle_timeout = std::chrono::seconds(1)});
    Client client(endpoint_);
    client.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string piece(1 << 20, 'x');
    EXPECT_TRUE(comes_true([&] { return stream_.is_open(); }));
    // The kernel's buffers are finite: sooner or later pieces wait here, and then the time limit applies.
    EXPECT_TRUE(comes_true([&] {
        if (stream_.pending() < 4 * piece.size()) stream_.write(piece);
        return stream_.pending() > piece.size();
    }));
    EXPECT_TRUE(comes_true([&] { return !stream_.is_open(); }));
    EXPECT_EQ(on_loop([&] { return server_->counts().timed_out; }), 1U);
}

TEST_F(ServerTest, AClientThatReadsItsStreamIsNotDisconnected) {
    start({.idle_timeout = std::chrono::seconds(1)});
    Client client(endpoint_);
    client.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(comes_true([&] { return stream_.is_open(); }));
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
    while (std::chrono::steady_clock::now() < end) {
        on_loop([&] { stream_.write("tick"); });
        ASSERT_NE(client.next(1024), "");
    }
    EXPECT_TRUE(on_loop([&] { return stream_.is_open(); }));
}

}  // namespace
}  // namespace flowd::http
