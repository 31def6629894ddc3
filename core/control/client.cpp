// SPDX-License-Identifier: Apache-2.0
#include "core/control/client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "flowd/unique_fd.hpp"

namespace flowd::core::control {
namespace {

using Clock = std::chrono::steady_clock;

Error broken_off(const std::string& path) {
    return Error{FLOWD_ERROR, "the daemon at " + path + " closed the connection without an answer",
                 "check whether it runs, and its log: systemctl status flowd-cpp, journalctl -u flowd-cpp"};
}

/// Waits until the socket is ready; false at the deadline.
bool wait_for(int fd, short events, Clock::time_point deadline) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0) return false;
        pollfd entry{fd, events, 0};
        const int ready = ::poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(left, 1 << 30)));
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return false;
    }
}

/// `late`: the error when the daemon accepts no connection and its queue is full.
Result<UniqueFd> connect_to(const std::string& path, std::chrono::milliseconds timeout, const Error& late) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return Error{FLOWD_INVALID, "the path of the control socket has to have 1 to 107 bytes: \"" + path + "\""};
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) return Error::from_errno(errno, "socket");
    timeout = std::max(timeout, std::chrono::milliseconds(1));  // 0 would be no limit
    const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
    const timeval limit{seconds.count(), std::chrono::microseconds(timeout - seconds).count()};
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // connect() heeds it, too
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
    switch (errno) {
        case EAGAIN:
            return late;
        case ENOENT:
        case ENOTDIR:
        case ECONNREFUSED:
            return Error{FLOWD_NOT_FOUND, "no daemon answers at " + path,
                         "start it (systemctl start flowd-cpp), or name its socket with --control"};
        case EACCES:
        case EPERM:
            return Error{FLOWD_DENIED, "not allowed to talk to the daemon at " + path,
                         "run this as root or as a member of the socket's group (see: ls -l " + path + ")"};
        default:
            return Error::from_errno(errno, "cannot connect to " + path);
    }
}

}  // namespace

Result<Reply> request(const std::string& path, const Arguments& arguments, std::chrono::milliseconds timeout) {
    const std::string frame = encode_request(arguments);
    if (frame.size() > max_request + 4 || arguments.size() > max_arguments) {
        return Error{FLOWD_INVALID, "the command is too long: at most 64 KiB and 256 arguments"};
    }
    const auto deadline = Clock::now() + timeout;
    const Error late{FLOWD_ERROR, "the daemon at " + path + " did not answer within " +
                                      std::to_string(timeout.count() / 1000.0).substr(0, 4) + " s"};
    auto socket = connect_to(path, timeout, late);
    if (!socket) return std::move(socket).error();
    const int fd = socket->get();

    for (std::size_t sent = 0; sent < frame.size();) {
        if (!wait_for(fd, POLLOUT, deadline)) return late;
        const ssize_t count = ::send(fd, frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EPIPE) break;  // the daemon closed the connection; its reply may still be readable
        if (count < 0 && errno != EAGAIN && errno != EINTR) return broken_off(path);
        if (count > 0) sent += static_cast<std::size_t>(count);
    }
    FrameReader reader(max_reply);
    std::string buffer(64 * 1024, '\0');
    for (;;) {
        if (!wait_for(fd, POLLIN, deadline)) return late;
        const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (count <= 0) return broken_off(path);
        const auto state = reader.add({buffer.data(), static_cast<std::size_t>(count)});
        if (state == FrameReader::State::refused) return broken_off(path);
        if (state == FrameReader::State::more) continue;
        auto reply = decode_reply(reader.body());
        if (!reply) return broken_off(path);
        return *std::move(reply);
    }
}

}  // namespace flowd::core::control
