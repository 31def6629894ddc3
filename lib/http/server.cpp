// SPDX-License-Identifier: Apache-2.0
#include "lib/http/server.hpp"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lib/http/problem.hpp"

namespace flowd::http {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using Socket = asio::generic::stream_protocol::socket;
using ErrorCode = boost::system::error_code;

/// Connections accepted per wake-up, so that open ones are not delayed.
constexpr int accepts_per_turn = 64;
/// Descriptors of the process that are reserved for reloaded files, the control socket and other modules; at most a
/// quarter of a small limit.
constexpr rlim_t reserved_descriptors = 128;
/// Connections that a server may always have: a scrape must not fail because the API has many clients.
constexpr std::size_t always_served = 4;
/// Limits of time and bytes for a client that still sends after it was refused; then the connection is closed.
constexpr std::chrono::seconds linger{2};
constexpr std::size_t most_lingered = 4 << 20;

/// The kernel assigns the lowest free number, so a high one means that few are left.
[[nodiscard]] bool is_reserved(int fd) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
    return static_cast<rlim_t>(fd) >= limit.rlim_cur - std::min(reserved_descriptors, limit.rlim_cur / 4);
}

[[nodiscard]] Peer peer_of(int fd, const sockaddr_storage& address) {
    Peer peer;
    if (const auto endpoint = Endpoint::from(address)) {
        peer.endpoint = *endpoint;
        return peer;
    }
    ucred credentials{};
    socklen_t length = sizeof credentials;
    const bool known = ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0;
    peer.user = known ? credentials.uid : static_cast<uid_t>(-1);
    return peer;
}

class Session;
using Sessions = std::unordered_set<std::shared_ptr<Session>>;

/// One connection. It is in the server's set until it is closed, and uses neither set nor context afterwards; handlers of
/// the loop share it.
class Session : public std::enable_shared_from_this<Session> {
  public:
    Session(Context& context, Sessions& sessions, Socket socket, const Peer& peer)
        : context_(context),
          sessions_(sessions),
          socket_(std::move(socket)),
          conversation_(std::make_shared<Conversation>(context, peer, [this] { go_on(); })),
          due_(Clock::now() + context.limits.idle_timeout) {}

    void start() { read(); }

    void end() {
        conversation_->end();
        go_on();
    }

    void close() {
        if (!socket_.is_open()) return;
        const auto self = shared_from_this();
        ErrorCode ignored;
        socket_.close(ignored);
        conversation_.reset();
        sessions_.erase(self);
    }

    void close_if_due(Clock::time_point now) {
        if (now < due_) return;
        if (!lingering_) {
            ++context_.counts.timed_out;
            conversation_->abandon();
        }
        close();
    }

  private:
    /// Starts the next operation, after every event.
    void go_on() {
        if (!socket_.is_open()) return;
        if (!conversation_->output().empty() && !writing_ && !write()) return;
        if (writing_) return;
        set_due();
        if (conversation_->over() || (peer_done_ && conversation_->wants_input())) return finish();
        read();
    }

    /// Each step has a time limit. Received bytes do not extend it, neither parts of a request nor empty lines.
    void set_due() {
        const Limits& limits = context_.limits;
        const std::pair step{conversation_->begun(), conversation_->in_request()};
        if (lingering_ || step_ == step) return;
        step_ = step;
        due_ = Clock::now() + (step.second ? limits.request_timeout : limits.idle_timeout);
    }

    void finish() {
        if (!conversation_->refused() || peer_done_) return close();
        ErrorCode ignored;
        socket_.shutdown(Socket::shutdown_send, ignored);
        lingering_ = true;
        due_ = Clock::now() + linger;
        read();
    }

    void read() {
        if (reading_ || peer_done_ || (!lingering_ && !conversation_->wants_input())) return;
        reading_ = true;
        socket_.async_read_some(asio::buffer(input_),
                                [this, self = shared_from_this()](const ErrorCode& error, std::size_t size) {
                                    reading_ = false;
                                    on_read(error, size);
                                });
    }

    void on_read(const ErrorCode& error, std::size_t size) {
        if (!socket_.is_open()) return;
        if (error) {
            if (error != asio::error::eof || lingering_) return close();
            peer_done_ = true;  // it may still read its responses
            return go_on();
        }
        if (lingering_) {
            lingered_ += size;
            return lingered_ > most_lingered ? close() : read();
        }
        conversation_->receive({input_.data(), size});
        go_on();
    }

    /// Most responses fit into the socket's buffer: they need no turn of the loop. What follows (Pieces) is sent from the
    /// loop, so that other connections are not delayed. False: the connection is closed, and this object may be gone.
    bool write() {
        take_output();
        ErrorCode error;
        sent_ = socket_.write_some(asio::buffer(sending_), error);
        if (error && error != asio::error::would_block) return close(), false;
        if (sent_ < sending_.size()) return write_rest(), true;
        written();
        if (conversation_->output().empty()) return true;
        take_output();
        write_rest();
        return true;
    }

    void take_output() {
        writing_ = true;
        sending_.clear();
        sending_.swap(conversation_->output());
        sent_ = 0;
    }

    void write_rest() {
        due_ = Clock::now() + context_.limits.idle_timeout;  // extended whenever a slow client reads something
        socket_.async_write_some(asio::buffer(sending_.data() + sent_, sending_.size() - sent_),
                                 [this, self = shared_from_this()](const ErrorCode& error, std::size_t size) {
                                     if (!socket_.is_open()) return;
                                     if (error) return close();
                                     sent_ += size;
                                     if (sent_ < sending_.size()) return write_rest();
                                     written();
                                     go_on();
                                 });
    }

    void written() {
        writing_ = false;
        step_.reset();
        conversation_->proceed();
    }

    Context& context_;
    Sessions& sessions_;
    Socket socket_;
    std::shared_ptr<Conversation> conversation_;
    std::array<char, 8192> input_;
    std::string sending_;
    std::size_t sent_ = 0;
    std::size_t lingered_ = 0;
    std::optional<std::pair<std::uint64_t, bool>> step_ = std::pair<std::uint64_t, bool>{};
    Clock::time_point due_;
    bool reading_ = false;
    bool writing_ = false;
    bool peer_done_ = false;  ///< it sends no more
    bool lingering_ = false;  ///< everything was sent; waits until the client has read it
};

}  // namespace

struct Server::State : std::enable_shared_from_this<State> {
    State(asio::io_context& io, const Limits& limits, Handler handler, Refused refused)
        : io_context(io),
          context{.limits = limits, .handler = std::move(handler), .refused = std::move(refused)},
          sweeper(io) {}

    void accept(asio::posix::stream_descriptor& listener);
    void accept_ready(asio::posix::stream_descriptor& listener);
    bool accept_one(int listening);
    void sweep();

    asio::io_context& io_context;
    Context context;
    std::vector<std::unique_ptr<asio::posix::stream_descriptor>> listeners;
    std::vector<asio::posix::stream_descriptor*> starved;  ///< no descriptor was left for a connection
    Sessions sessions;
    asio::steady_timer sweeper;
    bool draining = false;
};

void Server::State::accept(asio::posix::stream_descriptor& listener) {
    listener.async_wait(asio::posix::stream_descriptor::wait_read,
                        [this, self = shared_from_this(), &listener](const ErrorCode& error) {
                            if (error || draining) return;
                            accept_ready(listener);
                        });
}

void Server::State::accept_ready(asio::posix::stream_descriptor& listener) {
    for (int i = 0; i < accepts_per_turn; ++i) {
        if (accept_one(listener.native_handle())) continue;
        if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) break;
        ++context.counts.not_accepted;
        starved.push_back(&listener);  // retrying at once does not help against EMFILE and similar errors
        return;
    }
    accept(listener);
}

bool Server::State::accept_one(int listening) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    UniqueFd fd(::accept4(listening, reinterpret_cast<sockaddr*>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) return false;
    ++context.counts.connections;
    const Peer peer = peer_of(fd.get(), address);
    const bool starving = sessions.size() >= always_served && is_reserved(fd.get());
    if (starving || sessions.size() >= context.limits.max_connections) {
        ++(starving ? context.counts.starved : context.counts.over_cap);
        if (context.refused) context.refused(503, peer, {});
        static const std::string busy =
            "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
        (void)!::send(fd.get(), busy.data(), busy.size(), MSG_NOSIGNAL);
        return true;
    }
    // A response must not wait for the acknowledgement of the previous one (Nagle): pipelining would be slow.
    const int one = 1;
    if (address.ss_family != AF_UNIX) (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const asio::generic::stream_protocol protocol(address.ss_family, 0);
    ErrorCode error;
    Socket socket(io_context);
    socket.assign(protocol, fd.get(), error);
    if (error) return true;
    (void)fd.release();
    socket.non_blocking(true, error);  // for Session::write
    if (error) return true;
    const auto session = std::make_shared<Session>(context, sessions, std::move(socket), peer);
    sessions.insert(session);
    session->start();
    return true;
}

void Server::State::sweep() {
    sweeper.expires_after(std::chrono::seconds(1));
    sweeper.async_wait([this, self = shared_from_this()](const ErrorCode& error) {
        if (error) return;
        const auto now = Clock::now();
        const std::vector<std::shared_ptr<Session>> all(sessions.begin(), sessions.end());
        for (const auto& session : all) session->close_if_due(now);
        if (!draining)
            for (auto* listener : std::exchange(starved, {})) accept(*listener);
        sweep();
    });
}

Server::Server(asio::io_context& context, const Limits& limits, Handler handler, Refused refused)
    : state_(std::make_shared<State>(context, limits, std::move(handler), std::move(refused))) {
    state_->sweep();
}

Server::~Server() {
    close();
}

Result<void> Server::serve(UniqueFd listening) {
    auto listener = std::make_unique<asio::posix::stream_descriptor>(state_->io_context);
    ErrorCode error;
    listener->assign(listening.get(), error);
    if (error) return Error{FLOWD_ERROR, "a listening socket cannot be watched: " + error.message()};
    (void)listening.release();
    state_->listeners.push_back(std::move(listener));
    state_->accept(*state_->listeners.back());
    return {};
}

void Server::drain() {
    if (std::exchange(state_->draining, true)) return;
    for (const auto& listener : state_->listeners) {
        ErrorCode ignored;
        listener->close(ignored);
    }
    const std::vector<std::shared_ptr<Session>> all(state_->sessions.begin(), state_->sessions.end());
    for (const auto& session : all) session->end();
}

bool Server::busy() const {
    return !state_->sessions.empty();
}

std::size_t Server::connections() const {
    return state_->sessions.size();
}

void Server::close() {
    drain();
    const std::vector<std::shared_ptr<Session>> all(state_->sessions.begin(), state_->sessions.end());
    for (const auto& session : all) session->close();
    state_->sweeper.cancel();
}

const Counts& Server::counts() const {
    return state_->context.counts;
}

}  // namespace flowd::http
