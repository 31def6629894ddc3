// SPDX-License-Identifier: Apache-2.0
#include "core/control/server.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/control/connection.hpp"
#include "core/control/listener.hpp"
#include "core/modules/loop.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core::control {
namespace {

std::vector<gid_t> peer_groups(int fd) {
    std::vector<gid_t> groups(64);
    for (;;) {
        auto length = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
        const bool known = ::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length) == 0;
        if (!known && errno != ERANGE) return {};
        groups.resize(length / sizeof(gid_t));
        if (known) return groups;
    }
}

}  // namespace

struct Responder::State {
    /// `deliver` runs on the loop's thread, unless the loop was closed before.
    State(std::shared_ptr<Loop> loop, std::function<void(const Reply&)> deliver)
        : loop_(std::move(loop)), deliver_(std::move(deliver)) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { answer(Reply::failure(ExitCode::failure, "nobody answered the command")); }

    void answer(Reply reply) {
        if (answered_.exchange(true)) return;
        (void)loop_->post([deliver = deliver_, reply = std::move(reply)] { deliver(reply); });
    }

  private:
    std::shared_ptr<Loop> loop_;
    std::function<void(const Reply&)> deliver_;
    std::atomic<bool> answered_{false};
};

void Responder::operator()(Reply reply) const {
    state_->answer(std::move(reply));
}

struct Server::Implementation {
    Implementation(ServerOptions options_, Handler handler_, Listener listener_, std::shared_ptr<Loop> loop_)
        : options(std::move(options_)),
          handler(std::move(handler_)),
          listener(std::move(listener_)),
          loop(std::move(loop_)) {}
    Implementation(const Implementation&) = delete;
    Implementation& operator=(const Implementation&) = delete;
    /// Answers that are still on their way find the loop closed and are dropped.
    ~Implementation() { loop->close(); }

    struct Client {
        Connection connection;
        Peer peer;
        Loop::Id watch = 0;
        Loop::Id deadline = 0;
    };

    Result<void> start();
    void accept_all();
    void accept_later();
    void admit(UniqueFd socket, const Peer& peer);
    std::optional<Peer> identify(int fd) const;
    void serve(std::uint64_t id, std::uint32_t ready);
    void deliver(std::uint64_t id, const Reply& reply);
    void answer(std::uint64_t id, Client& client, const Reply& reply);
    void expire(std::uint64_t id);
    void settle(std::uint64_t id);
    void forget(std::uint64_t id);
    void set_deadline(std::uint64_t id, Client& client, std::chrono::milliseconds delay);

    ServerOptions options;
    Handler handler;
    Listener listener;
    std::shared_ptr<Loop> loop;  // its own, inside the daemon's; responders keep it beyond the server's end
    Loop::Id accepting = 0;
    Loop::Id pause = 0;
    std::uint64_t next_client = 1;
    std::unordered_map<std::uint64_t, Client> clients;
    ServerCounters counters;
};

Result<void> Server::Implementation::start() {
    auto watched = loop->watch(listener.fd(), FLOWD_IO_READ, [this](int, std::uint32_t) { accept_all(); });
    if (!watched) return std::move(watched).error();
    accepting = *watched;
    return {};
}

std::optional<Peer> Server::Implementation::identify(int fd) const {
    ucred credentials{};
    socklen_t length = sizeof credentials;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return std::nullopt;
    if (!may_connect(credentials.uid, credentials.gid, peer_groups(fd), ::geteuid(), listener.group())) return std::nullopt;
    return Peer{credentials.uid, credentials.gid, credentials.pid, credentials.uid == 0 || credentials.uid == ::geteuid()};
}

void Server::Implementation::accept_all() {
    for (;;) {
        UniqueFd socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (!socket) return errno == EAGAIN ? void() : accept_later();
        if (clients.size() >= options.max_connections) {
            ++counters.refused_busy;
        } else if (const auto peer = identify(socket.get())) {
            admit(std::move(socket), *peer);
        } else {
            ++counters.refused_peer;
        }
    }
}

/// Out of descriptors: the listener stays readable, so look away for a moment instead of spinning.
void Server::Implementation::accept_later() {
    (void)loop->rewatch(accepting, 0);
    (void)loop->cancel(pause);
    pause = loop->timer(std::chrono::milliseconds(200), {}, [this] { (void)loop->rewatch(accepting, FLOWD_IO_READ); });
}

void Server::Implementation::admit(UniqueFd socket, const Peer& peer) {
    const std::uint64_t id = next_client++;
    const int fd = socket.get();
    Client& client = clients.emplace(id, Client{Connection(std::move(socket)), peer}).first->second;
    auto watched = loop->watch(fd, FLOWD_IO_READ, [this, id](int, std::uint32_t ready) { serve(id, ready); });
    if (!watched) {
        clients.erase(id);
        return;
    }
    client.watch = *watched;
    set_deadline(id, client, options.idle_timeout);
}

void Server::Implementation::set_deadline(std::uint64_t id, Client& client, std::chrono::milliseconds delay) {
    (void)loop->cancel(client.deadline);
    client.deadline = loop->timer(delay, {}, [this, id] { expire(id); });
}

void Server::Implementation::forget(std::uint64_t id) {
    const auto found = clients.find(id);
    if (found == clients.end()) return;
    (void)loop->unwatch(found->second.watch);
    (void)loop->cancel(found->second.deadline);
    clients.erase(found);
}

/// Forgets a connection that is over, or watches for what it waits for next.
void Server::Implementation::settle(std::uint64_t id) {
    const auto found = clients.find(id);
    if (found == clients.end()) return;
    const Connection& connection = found->second.connection;
    switch (connection.phase()) {
        case Connection::Phase::done:
            ++counters.replies;
            return forget(id);
        case Connection::Phase::refused:
            ++counters.refused_malformed;
            return forget(id);
        default:
            (void)loop->rewatch(found->second.watch, connection.interest());
    }
}

void Server::Implementation::serve(std::uint64_t id, std::uint32_t ready) {
    const auto found = clients.find(id);
    if (found == clients.end()) return;
    Client& client = found->second;
    if (client.connection.phase() == Connection::Phase::writing) {
        client.connection.write();
    } else if ((ready & FLOWD_IO_READ) == 0) {
        return forget(id);  // gone while it waited; a late answer finds nobody
    } else if (auto arguments = client.connection.read()) {
        ++counters.requests;
        set_deadline(id, client, options.answer_timeout);
        auto state = std::make_shared<Responder::State>(loop, [this, id](const Reply& reply) { deliver(id, reply); });
        handler(*arguments, client.peer, Responder(std::move(state)));
    }
    settle(id);
}

void Server::Implementation::answer(std::uint64_t id, Client& client, const Reply& reply) {
    set_deadline(id, client, options.idle_timeout);
    client.connection.answer(reply);
    settle(id);
}

void Server::Implementation::deliver(std::uint64_t id, const Reply& reply) {
    const auto found = clients.find(id);
    if (found == clients.end() || found->second.connection.phase() != Connection::Phase::waiting) return;
    answer(id, found->second, reply);
}

void Server::Implementation::expire(std::uint64_t id) {
    const auto found = clients.find(id);
    if (found == clients.end()) return;
    ++counters.timeouts;
    if (found->second.connection.phase() != Connection::Phase::waiting) return forget(id);
    answer(id, found->second,
           Reply::failure(ExitCode::failure, "the command was not answered in time",
                          "an instance may be stalled: see flowd-cpp status"));
}

Server::Server(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::listen(ServerOptions options, Handler handler) {
    auto listener = Listener::open(options.path, options.group);
    if (!listener) return std::move(listener).error();
    auto loop = Loop::create();
    if (!loop) return std::move(loop).error();
    auto implementation = std::make_unique<Implementation>(std::move(options), std::move(handler),
                                                           std::move(listener).value(), std::move(loop).value());
    if (auto started = implementation->start(); !started) return std::move(started).error();
    return std::unique_ptr<Server>(new Server(std::move(implementation)));  // NOLINT: the constructor is private
}

int Server::fd() const {
    return implementation_->loop->fd();
}
void Server::dispatch() {
    (void)implementation_->loop->dispatch();
}
const ServerCounters& Server::counters() const {
    return implementation_->counters;
}
const std::string& Server::path() const {
    return implementation_->listener.path();
}

}  // namespace flowd::core::control
