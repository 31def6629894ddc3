// SPDX-License-Identifier: Apache-2.0
// lib/http/message.hpp: requests and replies. Belongs to the server's thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/address.hpp"

namespace flowd::http {

struct Limits {
    std::size_t max_connections = 1024;
    std::size_t max_head = 8192;
    std::size_t max_body = 1 << 20;
    std::chrono::seconds request_timeout{10};  ///< from the first byte of a request to its last
    std::chrono::seconds idle_timeout{60};     ///< between requests, and for reading a response
};

/// The client.
struct Peer {
    Endpoint endpoint;          ///< of a TCP connection
    std::optional<uid_t> user;  ///< of a Unix socket: the client's user when it connected
    [[nodiscard]] bool is_local() const { return user.has_value(); }
};

/// Borrowed: valid until the handler returns, even if the reply comes later.
struct Request {
    std::string_view method;
    std::string_view path;   ///< as sent, up to `?`
    std::string_view query;  ///< after the `?`
    std::string_view host;   ///< the field Host as sent
    std::string_view content_type;
    std::string_view authorization;
    std::string_view accept;  ///< this and the next as sent; the first if there are several
    std::string_view accept_encoding;
    std::string_view body;
    const Peer& peer;
    bool followed = false;  ///< more was received on this connection, which is read after the answer (pipelining)
};

struct Response {
    unsigned status = 200;
    std::string_view content_type = "application/json";  ///< static text
    std::string body = {};
    std::vector<std::pair<std::string_view, std::string>> headers = {};  ///< further ones; names are static text
};

class Conversation;

/// The body of a response, sent piece by piece. Ends with the object, or when the connection is closed: the client has
/// disconnected, or has read nothing for `idle_timeout`. Write something more often than that, because a disconnect is only
/// noticed when a piece is sent.
class Stream {
  public:
    Stream() = default;
    explicit Stream(std::weak_ptr<Conversation> conversation) : conversation_(std::move(conversation)) {}
    Stream(Stream&& other) noexcept : conversation_(std::exchange(other.conversation_, {})) {}
    Stream& operator=(Stream&& other) noexcept {
        std::swap(conversation_, other.conversation_);
        return *this;
    }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    ~Stream();

    [[nodiscard]] bool is_open() const { return !conversation_.expired(); }
    /// Bytes that wait because the client reads slowly. The caller bounds them.
    [[nodiscard]] std::size_t pending() const;
    void write(std::string_view piece);

  private:
    std::weak_ptr<Conversation> conversation_;
};

/// Appends the next piece of a body. False: it was the last one. Is called while the client reads; an exception closes the
/// connection before the end of the body.
using Pieces = std::function<bool(std::string& piece)>;

/// Answers one request, once. The destructor answers 500 if there was no answer. It may outlive the connection.
class Reply {
  public:
    explicit Reply(std::weak_ptr<Conversation> conversation) : conversation_(std::move(conversation)) {}
    Reply(Reply&& other) noexcept : conversation_(std::exchange(other.conversation_, {})) {}
    Reply& operator=(Reply&&) = delete;
    Reply(const Reply&) = delete;
    Reply& operator=(const Reply&) = delete;
    ~Reply();

    void operator()(Response response);
    /// Sends the head now; the body follows piece by piece.
    [[nodiscard]] Stream stream(const Response& head);
    /// Sends the head now, and the body as fast as the client reads it.
    void pieces(const Response& head, Pieces body);
    /// The connection is not closed. A disconnect of the client is not noticed: the connection is not read meanwhile.
    [[nodiscard]] bool wanted() const { return !conversation_.expired(); }

  private:
    std::weak_ptr<Conversation> conversation_;
};

/// Called for each refused request with the status of the response, or the reason why its connection is closed (408, 503),
/// the client, and the beginning of the request, without header fields and query, which may contain a secret.
using Refused = std::function<void(unsigned status, const Peer& peer, std::string_view first)>;

/// A HEAD request is passed as GET; the body of the response is omitted. An exception becomes 500 and is counted.
using Handler = std::function<void(const Request&, Reply)>;

}  // namespace flowd::http
