// SPDX-License-Identifier: Apache-2.0
// lib/http/server.hpp: listening sockets and connections. All functions on the thread that runs the io_context.
#pragma once

#include <memory>

#include "flowd/result.hpp"
#include "flowd/unique_fd.hpp"
#include "lib/http/conversation.hpp"
#include "lib/http/message.hpp"

namespace boost::asio {
class io_context;
}

namespace flowd::http {

class Server {
  public:
    /// The io_context outlives the server.
    Server(boost::asio::io_context& context, const Limits& limits, Handler handler, Refused refused = {});
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    /// Accepts at a listening socket (lib/http/listening.hpp); several may be served.
    [[nodiscard]] Result<void> serve(UniqueFd listening);
    /// Accepts no further connections and requests; the current ones are answered.
    void drain();
    /// Whether connections are open.
    [[nodiscard]] bool busy() const;
    [[nodiscard]] std::size_t connections() const;
    /// Closes the remaining connections, even if a request has no response yet.
    void close();

    [[nodiscard]] const Counts& counts() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace flowd::http
