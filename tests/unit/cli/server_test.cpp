// SPDX-License-Identifier: Apache-2.0
#include "core/control/server.hpp"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/control/client.hpp"
#include "core/control/listener.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core::control {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using testing::HasSubstr;
namespace fs = std::filesystem;

class Folder {
  public:
    Folder() {
        std::string name = (fs::temp_directory_path() / "flowd-control-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { fs::remove_all(path_); }
    [[nodiscard]] std::string file(const char* name) const { return (path_ / name).string(); }

  private:
    fs::path path_;
};

/// A server whose loop runs on a thread of its own, as the daemon's does.
class Running {
  public:
    Running(ServerOptions options, Handler handler) : server_(start(std::move(options), std::move(handler))) {
        thread_ = std::thread([this] {
            while (!stop_) {
                pollfd entry{server_->fd(), POLLIN, 0};
                if (::poll(&entry, 1, 20) > 0) {
                    const std::lock_guard guard(mutex_);
                    server_->dispatch();
                }
            }
        });
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() {
        stop_ = true;
        thread_.join();
    }
    ServerCounters counters() {
        const std::lock_guard guard(mutex_);
        return server_->counters();
    }
    /// Waits until `done(counters)`.
    template <typename Done>
    bool eventually(Done done) {
        for (const auto deadline = std::chrono::steady_clock::now() + 10s; std::chrono::steady_clock::now() < deadline;) {
            if (done(counters())) return true;
            std::this_thread::yield();
        }
        return false;
    }

  private:
    static std::unique_ptr<Server> start(ServerOptions options, Handler handler) {
        auto server = Server::listen(std::move(options), std::move(handler));
        if (!server) throw std::runtime_error(server.error().message);
        return std::move(server).value();
    }
    std::unique_ptr<Server> server_;
    std::mutex mutex_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

/// What a server logs.
class Lines {
  public:
    std::function<void(flowd_level, const std::string&)> writer() {
        return [this](flowd_level, const std::string& text) {
            const std::lock_guard lock(mutex_);
            lines_.push_back(text);
        };
    }
    std::vector<std::string> all() {
        const std::lock_guard lock(mutex_);
        return lines_;
    }

  private:
    std::mutex mutex_;
    std::vector<std::string> lines_;
};

bool comes_true(const std::function<bool()>& condition) {
    for (const auto deadline = std::chrono::steady_clock::now() + 10s; std::chrono::steady_clock::now() < deadline;) {
        if (condition()) return true;
        std::this_thread::yield();
    }
    return false;
}

void echo(const Arguments& arguments, const Peer&, const Responder& respond) {
    std::string text;
    for (const std::string& argument : arguments) text += (text.empty() ? "" : " ") + argument;
    respond(Reply{ExitCode::ok, "\"" + text + "\""});
}

ServerOptions at(const std::string& path) {
    ServerOptions options;
    options.path = path;
    return options;
}

UniqueFd connect_raw(const std::string& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.reset();
    return fd;
}

/// Everything until the server closes; nothing when it does not within the deadline.
std::optional<std::string> read_all(int fd) {
    std::string text;
    char buffer[65536];
    for (;;) {
        pollfd entry{fd, POLLIN, 0};
        if (::poll(&entry, 1, 10000) <= 0) return std::nullopt;
        const ssize_t count = ::recv(fd, buffer, sizeof buffer, 0);
        if (count <= 0) return text;
        text.append(buffer, static_cast<std::size_t>(count));
    }
}

void send_all(int fd, std::string_view bytes) {
    (void)!::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

TEST(ControlServer, AnswersARequest) {
    const Folder folder;
    const Running server(at(folder.file("control")), echo);
    const auto reply = request(folder.file("control"), {"marker", "mode", "observe"}, 10s);
    ASSERT_TRUE(reply.ok()) << reply.error().message;
    EXPECT_EQ(reply->json, "\"marker mode observe\"");
    EXPECT_EQ(reply->code, ExitCode::ok);
}

TEST(ControlServer, PassesThePeersIdentityToTheHandler) {
    const Folder folder;
    std::promise<Peer> seen;
    const Running server(at(folder.file("control")), [&](const Arguments&, const Peer& peer, const Responder& respond) {
        seen.set_value(peer);
        respond(Reply{});
    });
    ASSERT_TRUE(request(folder.file("control"), {"status"}, 10s).ok());
    const Peer peer = seen.get_future().get();
    EXPECT_EQ(peer.uid, ::geteuid());
    EXPECT_EQ(peer.pid, ::getpid());
    EXPECT_TRUE(peer.may_change);
}

TEST(ControlServer, AcceptsALateAnswerFromAnyThread) {
    const Folder folder;
    std::thread worker;
    {
        const Running server(at(folder.file("control")), [&](const Arguments&, const Peer&, const Responder& respond) {
            worker = std::thread([respond] {
                respond(Reply{ExitCode::ok, "1"});
                respond(Reply{ExitCode::ok, "2"});  // only the first counts
            });
        });
        const auto reply = request(folder.file("control"), {"status"}, 10s);
        ASSERT_TRUE(reply.ok());
        EXPECT_EQ(reply->json, "1");
    }
    worker.join();
}

TEST(ControlServer, ReportsAHandlerThatDoesNotAnswer) {
    const Folder folder;
    const Running server(at(folder.file("control")), [](const Arguments&, const Peer&, const Responder&) {});
    const auto reply = request(folder.file("control"), {"status"}, 10s);
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply->code, ExitCode::failure);
    EXPECT_THAT(reply->json, HasSubstr("was not answered"));
}

TEST(ControlServer, AResponderMayOutliveTheServerAndItsClient) {
    const Folder folder;
    std::optional<Responder> kept;
    {
        std::promise<void> called;
        Running server(at(folder.file("control")), [&](const Arguments&, const Peer&, const Responder& respond) {
            kept = respond;
            called.set_value();
        });
        const UniqueFd client = connect_raw(folder.file("control"));
        send_all(client.get(), encode_request({"status"}));
        called.get_future().wait();
    }
    (*kept)(Reply{});
}

TEST(ControlServer, AnswersForAnInstanceThatDoesNotRespond) {
    const Folder folder;
    ServerOptions options = at(folder.file("control"));
    options.answer_timeout = 50ms;
    std::optional<Responder> kept;
    Running server(std::move(options), [&](const Arguments&, const Peer&, const Responder& respond) { kept = respond; });
    const auto reply = request(folder.file("control"), {"marker", "status"}, 10s);
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply->code, ExitCode::failure);
    EXPECT_THAT(reply->json, HasSubstr("not answered in time"));
    EXPECT_TRUE(server.eventually([](const ServerCounters& counters) { return counters.timeouts == 1; }));
}

TEST(ControlServer, CarriesAnAnswerLargerThanAnySocketBuffer) {
    const Folder folder;
    const std::string large = "\"" + std::string(20 * 1024 * 1024, 'x') + "\"";
    const Running server(at(folder.file("control")), [&](const Arguments&, const Peer&, const Responder& respond) {
        respond(Reply{ExitCode::ok, large});
    });
    const auto reply = request(folder.file("control"), {"flows"}, 20s);
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply->json, large);
}

TEST(ControlServer, AnswersAClientThatShutDownItsSendingSide) {
    const Folder folder;
    const Running server(at(folder.file("control")), echo);
    const UniqueFd client = connect_raw(folder.file("control"));
    send_all(client.get(), encode_request({"status"}));
    ::shutdown(client.get(), SHUT_WR);
    EXPECT_EQ(read_all(client.get()), encode_reply({ExitCode::ok, "\"status\""}));
}

// case C57
TEST(ControlServer, WithoutADescriptorAConnectionWaitsWhichIsCountedAndLoggedOnce) {
    const Folder folder;
    ServerOptions options = at(folder.file("control"));
    Lines lines;
    std::atomic<int> failures{0};
    options.not_accepted = [&] { ++failures; };
    options.log = lines.writer();
    const Running server(std::move(options), echo);
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const int next = UniqueFd(::dup(0)).get();
    const rlimit one{static_cast<rlim_t>(next) + 1, before.rlim_max};  // which the client takes
    ::setrlimit(RLIMIT_NOFILE, &one);
    const UniqueFd client = connect_raw(folder.file("control"));
    EXPECT_TRUE(comes_true([&] { return failures >= 2; }));
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(lines.all().size(), 1u);
    send_all(client.get(), encode_request({"status"}));
    ::shutdown(client.get(), SHUT_WR);
    EXPECT_EQ(read_all(client.get()), encode_reply({ExitCode::ok, "\"status\""}));
}

class HostileInput : public testing::TestWithParam<std::string> {};

TEST_P(HostileInput, ClosesTheConnectionAndIsCounted) {
    const Folder folder;
    Running server(at(folder.file("control")), echo);
    const UniqueFd client = connect_raw(folder.file("control"));
    send_all(client.get(), GetParam());
    ::shutdown(client.get(), SHUT_WR);
    EXPECT_EQ(read_all(client.get()), "");
    EXPECT_TRUE(server.eventually([](const ServerCounters& counters) { return counters.refused_malformed == 1; }));
    EXPECT_EQ(server.counters().requests, 0u);
    EXPECT_TRUE(request(folder.file("control"), {"status"}, 10s).ok()) << "the next client is served";
}

INSTANTIATE_TEST_SUITE_P(ControlServer, HostileInput,
                         testing::Values("\x06\0\0\0stat"s,           // cut short
                                         "\xff\xff\xff\x7fxxxxxxx"s,  // 2 GiB announced
                                         "\x01\0\x01\0"s,             // one byte above the limit
                                         "\0\0\0\0"s,                 // nothing asked
                                         "\x02\0\0\0\0a"s,            // an empty first word
                                         "GET / HTTP/1.1\r\n\r\n"s));

TEST(ControlServer, ClosesAConnectionThatSendsTooSlowly) {
    const Folder folder;
    ServerOptions options = at(folder.file("control"));
    options.idle_timeout = 50ms;
    Lines lines;
    options.log = lines.writer();
    Running server(std::move(options), echo);
    const UniqueFd silent = connect_raw(folder.file("control"));
    const UniqueFd slow = connect_raw(folder.file("control"));
    send_all(slow.get(), "\x06\0\0\0sta"s);
    EXPECT_THAT(read_all(silent.get()).value_or(""), HasSubstr("did not come in time"));
    EXPECT_THAT(read_all(slow.get()).value_or(""), HasSubstr("did not come in time"));
    EXPECT_THAT(lines.all(), testing::Each(HasSubstr("did not send its request in time")));
    EXPECT_TRUE(server.eventually([](const ServerCounters& counters) { return counters.timeouts == 2; }));
}

TEST(ControlServer, ClosesAConnectionThatDoesNotReadItsAnswer) {
    const Folder folder;
    ServerOptions options = at(folder.file("control"));
    options.idle_timeout = 50ms;
    Running server(std::move(options), [](const Arguments&, const Peer&, const Responder& respond) {
        respond(Reply{ExitCode::ok, std::string(8 * 1024 * 1024, '1')});
    });
    const UniqueFd client = connect_raw(folder.file("control"));
    send_all(client.get(), encode_request({"flows"}));
    EXPECT_TRUE(server.eventually([](const ServerCounters& counters) { return counters.timeouts == 1; }));
    EXPECT_EQ(server.counters().replies, 0u);
}

TEST(ControlServer, SlowClientsAreClosedForNewOnes) {
    const Folder folder;
    Lines lines;
    ServerOptions options = at(folder.file("control"));
    options.idle_timeout = 60s;
    options.log = lines.writer();
    Running server(std::move(options), echo);
    std::vector<UniqueFd> slow;
    for (int i = 0; i < 40; ++i) {
        slow.push_back(connect_raw(folder.file("control")));
        send_all(slow.back().get(), "\x06\0"s);
    }
    const auto reply = request(folder.file("control"), {"status"}, 10s);
    ASSERT_TRUE(reply.ok()) << reply.error().message;
    EXPECT_EQ(reply->json, "\"status\"");
    EXPECT_EQ(server.counters().refused_busy, 9u) << "40 and one more, of 32";
    EXPECT_THAT(read_all(slow.front().get()).value_or(""), HasSubstr("too many clients"));
    EXPECT_THAT(lines.all(), testing::Contains(HasSubstr("the slowest, is closed")));
    send_all(slow.back().get(), "\0\0status"s);
    EXPECT_EQ(read_all(slow.back().get()), encode_reply({ExitCode::ok, "\"status\""})) << "the others are served";
}

TEST(ControlServer, WaitingClientsAreKeptAndAFurtherOneIsRefused) {
    const Folder folder;
    ServerOptions options = at(folder.file("control"));
    options.max_connections = 2;
    Lines lines;
    options.log = lines.writer();
    std::mutex mutex;
    std::vector<Responder> waiting;
    Running server(std::move(options), [&](const Arguments&, const Peer&, const Responder& respond) {
        const std::lock_guard lock(mutex);
        waiting.push_back(respond);
    });
    const UniqueFd first = connect_raw(folder.file("control"));
    const UniqueFd second = connect_raw(folder.file("control"));
    for (const UniqueFd* one : {&first, &second}) send_all(one->get(), encode_request({"a"}));
    ASSERT_TRUE(server.eventually([](const ServerCounters& counters) { return counters.requests == 2; }));
    const auto refused = request(folder.file("control"), {"status"}, 10s);
    ASSERT_TRUE(refused.ok()) << refused.error().message;
    EXPECT_EQ(refused->code, ExitCode::busy);
    EXPECT_THAT(refused->json, HasSubstr("too many clients"));
    EXPECT_THAT(lines.all(), testing::Contains(HasSubstr("refused")));
    const std::lock_guard lock(mutex);
    waiting.at(0)(Reply{ExitCode::ok, "1"});
    EXPECT_EQ(read_all(first.get()), encode_reply({ExitCode::ok, "1"}));
}

TEST(ControlServer, ASocketFileThatIsRemovedIsRecreated) {
    const Folder folder;
    Lines lines;
    ServerOptions options = at(folder.file("run") + "/control");
    options.check_interval = 10ms;
    options.log = lines.writer();
    const std::string path = options.path;
    const Running server(std::move(options), echo);
    for (const bool all : {false, true}) {
        if (all)
            fs::remove_all(folder.file("run"));  // with its lock and its folder
        else
            fs::remove(path);
        ASSERT_TRUE(comes_true([&] { return request(path, {"status"}, 1s).ok(); })) << path;
        struct stat status {};
        ASSERT_EQ(::stat(path.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777, 0660u);
    }
    EXPECT_THAT(lines.all(), testing::ElementsAre(HasSubstr("has been re-created"), HasSubstr("has been re-created")));
    EXPECT_EQ(Server::listen(at(path), echo).error().code, FLOWD_BUSY) << "and it is still this daemon's alone";
}

TEST(ControlServer, TheSocketFileOfAnotherDaemonIsKept) {
    const Folder folder;
    Lines lines;
    ServerOptions options = at(folder.file("run") + "/control");
    options.check_interval = 1s;
    options.log = lines.writer();
    const std::string path = options.path;
    auto first = Server::listen(options, echo);  // nobody dispatches it yet
    ASSERT_TRUE(first.ok());
    fs::rename(folder.file("run"), folder.file("moved"));
    auto second = Server::listen(at(path), echo);
    ASSERT_TRUE(second.ok());
    ASSERT_TRUE(comes_true([&] {
        first.value()->dispatch();
        return !lines.all().empty();
    }));
    EXPECT_THAT(lines.all().front(), HasSubstr("cannot be re-created: another flowd-cpp is running"));
    first.value().reset();
    EXPECT_TRUE(fs::exists(path)) << "the one that ends removes nothing that is not its own";
}

TEST(ControlServer, RefusesAPathInUseByARunningDaemon) {
    const Folder folder;
    auto first = Server::listen(at(folder.file("control")), echo);
    ASSERT_TRUE(first.ok());
    const auto second = Server::listen(at(folder.file("control")), echo);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, FLOWD_BUSY);
    EXPECT_THAT(second.error().message, HasSubstr("another flowd-cpp is running"));
    EXPECT_TRUE(fs::exists(folder.file("control"))) << "the first one's socket stays";
}

TEST(ControlServer, ReplacesTheSocketOfADaemonThatDied) {
    const Folder folder;
    const std::string path = folder.file("control");
    const pid_t child = ::fork();
    if (child == 0) {
        auto server = Server::listen(at(path), echo);
        ::_exit(server.ok() ? 0 : 1);  // as kill -9 would: nothing is cleaned up
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    ASSERT_TRUE(fs::exists(path));
    const auto gone = request(path, {"status"}, 1s);
    ASSERT_FALSE(gone.ok());
    EXPECT_EQ(gone.error().code, FLOWD_NOT_FOUND);
    const Running server(at(path), echo);
    EXPECT_TRUE(request(path, {"status"}, 10s).ok());
}

TEST(ControlServer, NeverRemovesAFileThatIsNotASocket) {
    const Folder folder;
    std::ofstream(folder.file("control")) << "precious";
    const auto server = Server::listen(at(folder.file("control")), echo);
    ASSERT_FALSE(server.ok());
    EXPECT_EQ(server.error().code, FLOWD_INVALID);
    EXPECT_EQ(fs::file_size(folder.file("control")), 8u);
}

TEST(ControlServer, CreatesTheLastDirectoryAndASocketForOwnerAndGroup) {
    const Folder folder;
    const std::string path = folder.file("run") + "/control";
    {
        const auto server = Server::listen(at(path), echo);
        ASSERT_TRUE(server.ok()) << server.error().message;
        struct stat status {};
        ASSERT_EQ(::stat(path.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777, 0660u);
    }
    EXPECT_FALSE(fs::exists(path)) << "it is removed in the end";
}

TEST(ControlServer, ReportsInvalidOptions) {
    const Folder folder;
    ServerOptions options = at(folder.file("control"));
    options.group = "no-such-group";
    EXPECT_EQ(Server::listen(options, echo).error().code, FLOWD_NOT_FOUND);
    EXPECT_EQ(Server::listen(at(folder.file("a/b/control")), echo).error().code, FLOWD_NOT_FOUND);
    EXPECT_EQ(Server::listen(at(std::string(200, 'x')), echo).error().code, FLOWD_INVALID);
}

TEST(ControlServer, AllowsOnlyRootItsOwnUserAndItsGroup) {
    EXPECT_TRUE(may_connect(0, 0, {}, 990, 990));
    EXPECT_TRUE(may_connect(990, 1, {}, 990, 991));
    EXPECT_TRUE(may_connect(1000, 991, {}, 990, 991));
    EXPECT_TRUE(may_connect(1000, 1000, {4, 991}, 990, 991));
    EXPECT_FALSE(may_connect(1000, 1000, {4, 24}, 990, 991));
}

TEST(ControlClient, DistinguishesNoDaemonFromNoPermissionAndNoAnswer) {
    const Folder folder;
    EXPECT_EQ(request(folder.file("control"), {"status"}, 1s).error().code, FLOWD_NOT_FOUND);
    std::optional<Responder> kept;
    const Running server(at(folder.file("control")),
                         [&](const Arguments&, const Peer&, const Responder& respond) { kept = respond; });
    const auto late = request(folder.file("control"), {"status"}, 50ms);
    ASSERT_FALSE(late.ok());
    EXPECT_EQ(late.error().code, FLOWD_ERROR);
    EXPECT_THAT(late.error().message, HasSubstr("did not answer"));
}

TEST(ControlClient, DoesNotWaitForASuspendedDaemonWhoseQueueOfConnectionsIsFull) {
    const Folder folder;
    const Listener accepts_nothing = std::move(*Listener::open(folder.file("control"), ::getegid()));
    for (int i = 0; i < 100; ++i) {
        const auto late = request(folder.file("control"), {"status"}, 1ms);
        ASSERT_FALSE(late.ok());
        ASSERT_THAT(late.error().message, HasSubstr("did not answer"));
    }
}

TEST(ControlClient, PointsToTheLogIfTheConnectionEndsWithoutAnAnswer) {
    const Folder folder;
    Listener listener = std::move(*Listener::open(folder.file("control"), ::getegid()));
    std::thread closes([&] {
        pollfd entry{listener.fd(), POLLIN, 0};
        (void)::poll(&entry, 1, 10'000);
        const UniqueFd client(::accept(listener.fd(), nullptr, nullptr));
    });
    const auto reply = request(folder.file("control"), {"status"}, 10s);
    closes.join();
    ASSERT_FALSE(reply.ok());
    EXPECT_THAT(reply.error().message, HasSubstr("closed the connection without an answer"));
    EXPECT_THAT(reply.error().hint, HasSubstr("systemctl status flowd-cpp"));
}

TEST(ControlClient, RefusesToSendInvalidRequests) {
    EXPECT_EQ(request("/nonexistent", {std::string(max_request + 1, 'x')}, 1s).error().code, FLOWD_INVALID);
}

}  // namespace
}  // namespace flowd::core::control
