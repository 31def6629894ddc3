// SPDX-License-Identifier: Apache-2.0
#include "core/control/server.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/loop.hpp"
#include "core/control/connection.hpp"
#include "core/control/listener.hpp"
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
    explicit State(std::function<void(const Reply&)> take) : take_(std::move(take)) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { answer(Reply::failure(ExitCode::failure, "the command was not answered")); }

    void answer(const Reply& reply) {
        if (!answered_.exchange(true)) take_(reply);
    }

  private:
    std::function<void(const Reply&)> take_;
    std::atomic<bool> answered_{false};
};

Responder Responder::to(std::function<void(const Reply&)> take) {
    return Responder(std::make_shared<State>(std::move(take)));
}

void Responder::operator()(const Reply& reply) const {
    state_->answer(reply);
}

struct Server::Implementation {
    Implementation(ServerOptions options_, Handler handler_, Listener listener_, std::shared_ptr<Loop> loop_)
        : options(std::move(options_)),
          handler(std::move(handler_)),
          listener(std::move(listener_)),
          loop(std::move(loop_)) {}
    Implementation(const Implementation&) = delete;
    Implementation& operator=(const Implementation&) = delete;
    /// Later replies find the loop closed and are dropped.
    ~Implementation() { loop->close(); }

    struct Client {
        Connection connection;
        Peer peer;
        Loop::Id watch = 0;
        Loop::Id deadline = 0;
    };

    Result<void> start();
    Result<void> listen();
    void accept_some();
    void accept_later();
    void keep_reachable();
    void turn_away(UniqueFd socket, ExitCode code, const std::string& why, const char* hint);
    [[nodiscard]] bool make_room();
    void admit(UniqueFd socket, const Peer& peer);
    void dismiss(const Reply& reply);
    void log(flowd_level level, const std::string& text) const {
        if (options.log) options.log(level, "control socket: " + text);
    }
    static std::string name_of(const Client& client) {
        return "the client with process id " + std::to_string(client.peer.pid) + " of user " +
               std::to_string(client.peer.uid);
    }
    std::optional<Peer> identify(int fd) const;
    void serve(std::uint64_t id, std::uint32_t ready);
    void deliver(std::uint64_t id, std::string frame);
    void answer(std::uint64_t id, Client& client, std::string frame);
    void expire(std::uint64_t id);
    void end_or_watch(std::uint64_t id);
    void forget(std::uint64_t id);
    void set_deadline(std::uint64_t id, Client& client, std::chrono::milliseconds delay);

    ServerOptions options;
    Handler handler;
    Listener listener;
    std::shared_ptr<Loop> loop;  // nested in the daemon's loop; responders keep it alive after the server is destroyed
    Loop::Id accepting = 0;
    Loop::Id pause = 0;
    std::uint64_t next_client = 1;
    std::map<std::uint64_t, Client> clients;  // in the order of connection
    bool starving = false;                    ///< accept(2) failed; logged once until it succeeds
    std::string unreachable;                  ///< why the socket file could not be re-created
    ServerCounters counters;
};

Result<void> Server::Implementation::start() {
    if (auto listening = listen(); !listening) return listening;
    (void)loop->timer(options.check_interval, options.check_interval, [this] { keep_reachable(); });
    return {};
}

Result<void> Server::Implementation::listen() {
    auto watched = loop->watch(listener.fd(), FLOWD_IO_READ, [this](int, std::uint32_t) { accept_some(); });
    if (!watched) return std::move(watched).error();
    accepting = *watched;
    return {};
}

/// If a program removes the files in /run, clients must be able to connect again before the next start.
void Server::Implementation::keep_reachable() {
    if (listener.is_reachable()) return;
    (void)loop->unwatch(accepting);
    auto again = listener.reopen();
    if (again) again = listen();
    const std::string why = again ? std::string() : again.error().message;
    if (again)
        log(FLOWD_LEVEL_WARNING, listener.path() + " was removed and has been re-created");
    else if (why != unreachable)
        log(FLOWD_LEVEL_ERROR, listener.path() + " was removed and cannot be re-created: " + why);
    unreachable = why;
}

std::optional<Peer> Server::Implementation::identify(int fd) const {
    ucred credentials{};
    socklen_t length = sizeof credentials;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return std::nullopt;
    if (!may_connect(credentials.uid, credentials.gid, peer_groups(fd), ::geteuid(), listener.group())) return std::nullopt;
    return Peer{credentials.uid, credentials.gid, credentials.pid, credentials.uid == 0 || credentials.uid == ::geteuid()};
}

void Server::Implementation::accept_some() {
    constexpr int most = 64;  // per round, so that other events are not delayed
    for (int i = 0; i < most; ++i) {
        UniqueFd socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (!socket && errno != EAGAIN) return accept_later();
        starving = false;
        if (!socket) return;
        const auto peer = identify(socket.get());
        if (!peer) {
            ++counters.refused_peer;
            turn_away(std::move(socket), ExitCode::denied,
                      "the control socket is for root, the daemon's user and its group",
                      "run this as root or as a member of that group");
        } else if (clients.size() < options.max_connections || make_room()) {
            admit(std::move(socket), *peer);
        } else {
            ++counters.refused_busy;
            log(FLOWD_LEVEL_WARNING, "all connections wait for a reply: a further one is refused");
            turn_away(std::move(socket), ExitCode::busy, "the daemon has too many clients at its control socket",
                      "try again");
        }
    }
}

void Server::Implementation::turn_away(UniqueFd socket, ExitCode code, const std::string& why, const char* hint) {
    const std::string frame = encode_reply(Reply::failure(code, why, hint));
    (void)::send(socket.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/// Closes the oldest connection that is still sending its request, or else one that does not read its reply: complete
/// requests are read at once, so only slow clients hold a place. Connections that wait for the handler are kept.
bool Server::Implementation::make_room() {
    for (const auto phase : {Connection::Phase::reading, Connection::Phase::writing}) {
        for (auto& [id, client] : clients) {
            if (client.connection.phase() != phase) continue;
            ++counters.refused_busy;
            log(FLOWD_LEVEL_WARNING, "too many connections: " + name_of(client) + ", the slowest, is closed");
            if (phase == Connection::Phase::reading)
                client.connection.answer(encode_reply(
                    Reply::failure(ExitCode::busy, "the daemon has too many clients at its control socket", "try again")));
            forget(id);
            return true;
        }
    }
    return false;
}

void Server::Implementation::dismiss(const Reply& reply) {
    (void)loop->unwatch(accepting);
    const std::string frame = encode_reply(reply);
    for (auto& [id, client] : clients)
        if (client.connection.phase() != Connection::Phase::writing) client.connection.answer(frame);
}

/// The process has no free descriptor, and the listener stays readable: pause accepting instead of looping without effect.
void Server::Implementation::accept_later() {
    if (!std::exchange(starving, true))
        log(FLOWD_LEVEL_WARNING, std::string("connections cannot be accepted, and wait: ") + std::strerror(errno));
    if (options.not_accepted) options.not_accepted();
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

/// Removes a finished connection, or watches for its next event.
void Server::Implementation::end_or_watch(std::uint64_t id) {
    const auto found = clients.find(id);
    if (found == clients.end()) return;
    const Connection& connection = found->second.connection;
    switch (connection.phase()) {
        case Connection::Phase::done:
            ++counters.replies;
            return forget(id);
        case Connection::Phase::refused:
            ++counters.refused_malformed;
            if (connection.has_spoken()) log(FLOWD_LEVEL_WARNING, name_of(found->second) + " sent no valid request");
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
        return forget(id);  // the client disconnected while it waited; a later reply is dropped
    } else if (auto arguments = client.connection.read()) {
        ++counters.requests;
        set_deadline(id, client, options.answer_timeout);
        // The replying thread encodes the frame, so that a long reply does not block the loop. A closed loop drops it.
        handler(*arguments, client.peer, Responder::to([this, id, replies = loop](const Reply& reply) {
            auto frame = std::make_shared<std::string>(encode_reply(reply));
            (void)replies->post([this, id, frame] { deliver(id, std::move(*frame)); });
        }));
    }
    end_or_watch(id);
}

void Server::Implementation::answer(std::uint64_t id, Client& client, std::string frame) {
    set_deadline(id, client, options.idle_timeout);
    client.connection.answer(std::move(frame));
    end_or_watch(id);
}

void Server::Implementation::deliver(std::uint64_t id, std::string frame) {
    const auto found = clients.find(id);
    if (found == clients.end() || found->second.connection.phase() != Connection::Phase::waiting) return;
    answer(id, found->second, std::move(frame));
}

void Server::Implementation::expire(std::uint64_t id) {
    const auto found = clients.find(id);
    if (found == clients.end()) return;
    ++counters.timeouts;
    Client& client = found->second;
    switch (client.connection.phase()) {
        case Connection::Phase::waiting:
            log(FLOWD_LEVEL_WARNING, "a command was not answered in time");
            return answer(id, client,
                          encode_reply(Reply::failure(ExitCode::failure, "the command was not answered in time",
                                                      "an instance may be stalled: see flowd-cpp status")));
        case Connection::Phase::writing:
            log(FLOWD_LEVEL_WARNING, name_of(client) + " does not read its answer");
            return forget(id);
        default:
            log(FLOWD_LEVEL_WARNING, name_of(client) + " did not send its request in time");
            client.connection.answer(encode_reply(Reply::failure(ExitCode::failure, "the request did not come in time")));
            return forget(id);
    }
}

Server::Server(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::listen(ServerOptions options, Handler handler) {
    const auto group = group_id(options.group);
    if (!group) return group.error();
    auto listener = Listener::open(options.path, *group);
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
void Server::dismiss(const Reply& reply) {
    implementation_->dismiss(reply);
}
const ServerCounters& Server::counters() const {
    return implementation_->counters;
}
const std::string& Server::path() const {
    return implementation_->listener.path();
}

}  // namespace flowd::core::control
