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
    bool may_change = false;  ///< root or the daemon's own user: others may only query
};

/// Answers one request. Copies share it: the first call counts, further ones do nothing. If the last copy is destroyed
/// unused, the client receives an error. Thread: any. May outlive the Server.
class Responder {
  public:
    struct State;
    explicit Responder(std::shared_ptr<State> state) : state_(std::move(state)) {}
    void operator()(const Reply& reply) const;

  private:
    std::shared_ptr<State> state_;
};

using Handler = std::function<void(const Arguments& arguments, const Peer& peer, Responder respond)>;

struct ServerOptions {
    std::string path = default_path;
    std::string group;                                ///< owner group of the socket; empty: the daemon's own
    std::size_t max_connections = 32;                 ///< a further one replaces the one that has been idle longest
    std::chrono::milliseconds idle_timeout{5000};     ///< for a whole request to come in, or a reply to go out
    std::chrono::milliseconds answer_timeout{30000};  ///< for the handler's answer
    std::chrono::milliseconds check_interval{1000};   ///< between checks whether the socket file still exists
    /// Receives the reason why a connection ended without its reply, and the fate of a socket file that was removed.
    std::function<void(flowd_level, const std::string&)> log = {};
};

struct ServerCounters {
    std::uint64_t requests = 0;  ///< handed to the handler
    std::uint64_t replies = 0;   ///< written completely
    std::uint64_t refused_malformed = 0;
    std::uint64_t refused_peer = 0;  ///< not allowed to talk to this socket
    std::uint64_t refused_busy = 0;  ///< too many connections: this one, or one that made way for it
    std::uint64_t timeouts = 0;
};

class Server {
  public:
    /// FLOWD_BUSY: another daemon owns the path. FLOWD_INVALID: the path is not a socket, or too long (sockaddr_un).
    /// FLOWD_NOT_FOUND: its folder or the group does not exist. A socket left by a daemon that died is replaced. While it
    /// lives, a socket file that somebody removes is re-created.
    [[nodiscard]] static Result<std::unique_ptr<Server>> listen(ServerOptions options, Handler handler);

    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    /// Removes the socket file and closes all connections.
    ~Server();

    /// Readable when there is something to do: watch it for reading, level-triggered. Owned by the server.
    [[nodiscard]] int fd() const;
    /// Does what is due, calls the handler, never blocks. Timeouts need no other call: they make fd() readable.
    void dispatch();

    /// Answers whoever still waits with `reply`, as far as that can be written at once, and takes no more requests.
    void dismiss(const Reply& reply);

    [[nodiscard]] const ServerCounters& counters() const;
    [[nodiscard]] const std::string& path() const;

  private:
    struct Implementation;
    explicit Server(std::unique_ptr<Implementation> implementation);
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace flowd::core::control
