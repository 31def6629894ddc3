// SPDX-License-Identifier: Apache-2.0
// The control socket of the daemon. A Server belongs to the thread of the daemon's main loop; only a Responder may be
// used from other threads.
//
//   auto server = control::Server::listen(options, [&](const Arguments& arguments, const Peer& peer, Responder respond) {
//       if (arguments[0] == "status") return respond(Reply{ExitCode::ok, status_json()});
//       ...                                             // or keep `respond` and call it later, from any thread
//   });
//   epoll: when server->fd() is readable, server->dispatch();
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/control/protocol.hpp"
#include "flowd/abi/base.h"
#include "flowd/result.hpp"

namespace flowd::core::control {

/// The client, by SO_PEERCRED.
struct Peer {
    uid_t uid = 0;
    gid_t gid = 0;
    pid_t pid = 0;
    bool may_change = false;  ///< root or the daemon's user; others may only query
};

/// Replies to one request. Copies share the request: only the first call has an effect. If the last copy is destroyed
/// without a call, the client receives an error. Thread: any. May outlive the Server.
class Responder {
  public:
    struct State;
    explicit Responder(std::shared_ptr<State> state) : state_(std::move(state)) {}
    /// For a request of the daemon itself: `take` receives the reply, on the thread that replies.
    [[nodiscard]] static Responder to(std::function<void(const Reply&)> take);
    void operator()(const Reply& reply) const;

  private:
    std::shared_ptr<State> state_;
};

using Handler = std::function<void(const Arguments& arguments, const Peer& peer, Responder respond)>;

struct ServerOptions {
    std::string path = default_path;
    std::string group;                                ///< group of the socket; empty: that of the daemon
    std::size_t max_connections = 32;                 ///< one more replaces the oldest one that sends or reads slowly
    std::chrono::milliseconds idle_timeout{5000};     ///< to receive a complete request, and to send a reply
    std::chrono::milliseconds answer_timeout{30000};  ///< for the handler's reply
    std::chrono::milliseconds check_interval{1000};   ///< interval of the check that the socket file still exists
    /// Receives the reason why a connection was closed without a reply, and messages about a removed socket file.
    std::function<void(flowd_level, const std::string&)> log = {};
    /// Called when accept(2) fails, because the process has no descriptor left: connections wait, and it is tried again.
    std::function<void()> not_accepted = {};
};

struct ServerCounters {
    std::uint64_t requests = 0;  ///< passed to the handler
    std::uint64_t replies = 0;   ///< written completely
    std::uint64_t refused_malformed = 0;
    std::uint64_t refused_peer = 0;  ///< clients without permission for this socket
    std::uint64_t refused_busy = 0;  ///< too many connections: this one, or one that was closed in its favour
    std::uint64_t timeouts = 0;
};

class Server {
  public:
    /// FLOWD_BUSY: another daemon owns the path. FLOWD_INVALID: the path is not a socket, or too long (sockaddr_un).
    /// FLOWD_NOT_FOUND: its directory or the group does not exist. The file of a daemon that was killed is replaced. A
    /// socket file that is removed while the server exists is re-created.
    [[nodiscard]] static Result<std::unique_ptr<Server>> listen(ServerOptions options, Handler handler);

    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    /// Removes the socket file and closes all connections.
    ~Server();

    /// Readable when dispatch() is due: watch it for reading, level-triggered. Owned by the server.
    [[nodiscard]] int fd() const;
    /// Handles what is due and calls the handler; never blocks. Timeouts make fd() readable as well, so no timer is needed.
    void dispatch();

    /// Sends `reply` to all waiting clients, as far as it can be written at once, and accepts no more requests.
    void dismiss(const Reply& reply);

    [[nodiscard]] const ServerCounters& counters() const;
    [[nodiscard]] const std::string& path() const;

  private:
    struct Implementation;
    explicit Server(std::unique_ptr<Implementation> implementation);
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace flowd::core::control
