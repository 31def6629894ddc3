// SPDX-License-Identifier: Apache-2.0
#include "core/control/server.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/control/connection.hpp"
#include "core/control/listener.hpp"
#include "flowd/unique_fd.hpp"

namespace flowd::core::control {
namespace {

using Clock = Connection::Clock;

/// Answers on their way from any thread to the loop's. Shared by the server and its responders.
struct Inbox {
    struct Item {
        std::uint64_t connection;
        Reply reply;
    };

    void put(Item item) {
        const std::lock_guard guard(mutex);
        items.push_back(std::move(item));
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t ignored = ::write(wake.get(), &one, sizeof one);  // full means: already readable
    }
    std::vector<Item> take() {
        const std::lock_guard guard(mutex);
        std::uint64_t count = 0;
        [[maybe_unused]] const ssize_t ignored = ::read(wake.get(), &count, sizeof count);
        return std::exchange(items, {});
    }

    UniqueFd wake;
    std::mutex mutex;
    std::vector<Item> items;
};

std::vector<gid_t> peer_groups(int fd) {
    std::vector<gid_t> groups(64);
    for (;;) {
        auto length = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
        if (::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length) == 0) {
            groups.resize(length / sizeof(gid_t));
            return groups;
        }
        if (errno != ERANGE) return {};
        groups.resize(length / sizeof(gid_t));
    }
}

// What an epoll event belongs to; connections count up from `first_connection`.
enum : std::uint64_t { listener_tag, wake_tag, timer_tag, first_connection };

}  // namespace

struct Responder::State {
    State(std::shared_ptr<Inbox> inbox_, std::uint64_t connection_) : inbox(std::move(inbox_)), connection(connection_) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { answer(Reply::failure(ExitCode::failure, "nobody answered the command")); }

    void answer(Reply reply) {
        {
            const std::lock_guard guard(mutex);
            if (std::exchange(answered, true)) return;
        }
        inbox->put({connection, std::move(reply)});
    }

    std::shared_ptr<Inbox> inbox;
    std::uint64_t connection;
    std::mutex mutex;
    bool answered = false;
};

void Responder::operator()(Reply reply) const {
    state_->answer(std::move(reply));
}

struct Server::Implementation {
    Implementation(ServerOptions options_, Handler handler_, Listener listener_)
        : options(std::move(options_)), handler(std::move(handler_)), listener(std::move(listener_)) {}

    Result<void> start();
    bool watch(int fd, std::uint64_t tag, std::uint32_t events, int operation = EPOLL_CTL_ADD) const;
    void accept_all(Clock::time_point now);
    std::optional<Peer> identify(int fd) const;
    void serve(std::uint64_t id, std::uint32_t ready, Clock::time_point now);
    void deliver_answers(Clock::time_point now);
    void settle(std::uint64_t id);
    void expire(Clock::time_point now);
    void arm_timer() const;

    ServerOptions options;
    Handler handler;
    Listener listener;
    UniqueFd epoll;
    UniqueFd timer;
    std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>();
    std::unordered_map<std::uint64_t, Connection> connections;
    std::unordered_map<std::uint64_t, Peer> peers;
    std::uint64_t next_connection = first_connection;
    std::optional<Clock::time_point> accept_again;  ///< accepting is paused: no descriptors left
    ServerCounters counters;
};

Result<void> Server::Implementation::start() {
    epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
    timer.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    inbox->wake.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!epoll || !timer || !inbox->wake || !watch(listener.fd(), listener_tag, EPOLLIN) ||
        !watch(inbox->wake.get(), wake_tag, EPOLLIN) || !watch(timer.get(), timer_tag, EPOLLIN)) {
        return Error::from_errno(errno, "control socket");
    }
    return {};
}

bool Server::Implementation::watch(int fd, std::uint64_t tag, std::uint32_t events, int operation) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    return ::epoll_ctl(epoll.get(), operation, fd, &event) == 0;
}

std::optional<Peer> Server::Implementation::identify(int fd) const {
    ucred credentials{};
    socklen_t length = sizeof credentials;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return std::nullopt;
    if (!may_connect(credentials.uid, credentials.gid, peer_groups(fd), ::geteuid(), listener.group())) return std::nullopt;
    return Peer{credentials.uid, credentials.gid, credentials.pid, credentials.uid == 0 || credentials.uid == ::geteuid()};
}

void Server::Implementation::accept_all(Clock::time_point now) {
    for (;;) {
        UniqueFd socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            if (errno != EAGAIN) {
                // Out of descriptors: the listener stays readable, so look away for a moment instead of spinning.
                watch(listener.fd(), listener_tag, 0, EPOLL_CTL_MOD);
                accept_again = now + std::chrono::milliseconds(200);
            }
            return;
        }
        if (connections.size() >= options.max_connections) {
            ++counters.refused_busy;
            continue;
        }
        const auto peer = identify(socket.get());
        if (!peer) {
            ++counters.refused_peer;
            continue;
        }
        const std::uint64_t id = next_connection++;
        if (!watch(socket.get(), id, EPOLLIN)) continue;
        connections.emplace(id, Connection(std::move(socket), now + options.idle_timeout));
        peers.emplace(id, *peer);
    }
}

/// Forgets a connection that is over, or tells epoll what it waits for next.
void Server::Implementation::settle(std::uint64_t id) {
    const auto found = connections.find(id);
    if (found == connections.end()) return;
    const Connection& connection = found->second;
    const auto phase = connection.phase();
    if (phase == Connection::Phase::done || phase == Connection::Phase::refused) {
        ++(phase == Connection::Phase::done ? counters.replies : counters.refused_malformed);
        connections.erase(found);
        peers.erase(id);
        return;
    }
    watch(connection.fd(), id, connection.interest(), EPOLL_CTL_MOD);
}

void Server::Implementation::serve(std::uint64_t id, std::uint32_t ready, Clock::time_point now) {
    const auto found = connections.find(id);
    if (found == connections.end()) return;
    Connection& connection = found->second;
    if (connection.phase() == Connection::Phase::writing) {
        connection.write();
    } else if ((ready & (EPOLLHUP | EPOLLERR)) != 0 && (ready & EPOLLIN) == 0) {
        connections.erase(found);  // gone while it waited; a late answer finds nobody
        peers.erase(id);
        return;
    } else if (auto arguments = connection.read(now + options.answer_timeout)) {
        ++counters.requests;
        handler(*arguments, peers.at(id), Responder(std::make_shared<Responder::State>(inbox, id)));
    }
    settle(id);
}

void Server::Implementation::deliver_answers(Clock::time_point now) {
    for (Inbox::Item& item : inbox->take()) {
        const auto found = connections.find(item.connection);
        if (found == connections.end() || found->second.phase() != Connection::Phase::waiting) continue;
        found->second.answer(item.reply, now + options.idle_timeout);
        settle(item.connection);
    }
}

void Server::Implementation::expire(Clock::time_point now) {
    if (accept_again && *accept_again <= now) {
        accept_again.reset();
        watch(listener.fd(), listener_tag, EPOLLIN, EPOLL_CTL_MOD);
    }
    std::vector<std::uint64_t> due;
    for (const auto& [id, connection] : connections) {
        if (connection.deadline() <= now) due.push_back(id);
    }
    for (const std::uint64_t id : due) {
        ++counters.timeouts;
        Connection& connection = connections.at(id);
        if (connection.phase() == Connection::Phase::waiting) {
            connection.answer(Reply::failure(ExitCode::failure, "the command was not answered in time",
                                             "an instance may be stalled: see flowd-cpp status"),
                              now + options.idle_timeout);
            settle(id);
        } else {
            connections.erase(id);
            peers.erase(id);
        }
    }
}

void Server::Implementation::arm_timer() const {
    std::optional<Clock::time_point> next = accept_again;
    for (const auto& [id, connection] : connections) {
        if (!next || connection.deadline() < *next) next = connection.deadline();
    }
    itimerspec setting{};
    if (next) {
        const auto since = std::max(next->time_since_epoch(), Clock::duration(1));  // 0 would disarm
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
        setting.it_value.tv_sec = seconds.count();
        setting.it_value.tv_nsec = std::chrono::nanoseconds(since - seconds).count();
    }
    ::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &setting, nullptr);
}

Server::Server(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::listen(ServerOptions options, Handler handler) {
    auto listener = Listener::open(options.path, options.group);
    if (!listener) return std::move(listener).error();
    auto implementation =
        std::make_unique<Implementation>(std::move(options), std::move(handler), std::move(listener).value());
    if (auto started = implementation->start(); !started) return std::move(started).error();
    return std::unique_ptr<Server>(new Server(std::move(implementation)));
}

int Server::fd() const {
    return implementation_->epoll.get();
}

void Server::dispatch() {
    Implementation& self = *implementation_;
    const auto now = Clock::now();
    std::array<epoll_event, 64> ready{};
    const int count = ::epoll_wait(self.epoll.get(), ready.data(), static_cast<int>(ready.size()), 0);
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = ready[static_cast<std::size_t>(i)];
        switch (event.data.u64) {
            case listener_tag:
                self.accept_all(now);
                break;
            case wake_tag:
                break;  // below, together with what the handler answered at once
            case timer_tag:
                break;
            default:
                self.serve(event.data.u64, event.events, now);
        }
    }
    self.deliver_answers(now);
    self.expire(now);
    self.arm_timer();
}

const ServerCounters& Server::counters() const {
    return implementation_->counters;
}
const std::string& Server::path() const {
    return implementation_->listener.path();
}

}  // namespace flowd::core::control
