// SPDX-License-Identifier: Apache-2.0
// lib/http/conversation.hpp: HTTP on one connection, without its socket: bytes in, bytes out. [server's thread]
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "lib/http/message.hpp"

namespace flowd::http {

struct Counts {
    std::uint64_t connections = 0;   ///< accepted connections
    std::uint64_t over_cap = 0;      ///< answered 503: max_connections are open
    std::uint64_t starved = 0;       ///< answered 503: the process has no more descriptors for clients
    std::uint64_t not_accepted = 0;  ///< failed calls of accept(2): no descriptor at all was left; the connections wait
    std::uint64_t timed_out = 0;
    std::uint64_t requests = 0;   ///< handed to the handler
    std::uint64_t malformed = 0;  ///< refused before the handler
    std::uint64_t failed = 0;     ///< the handler threw

    [[nodiscard]] std::uint64_t turned_away() const { return over_cap + starved; }
};

/// The text of a Date header (RFC 9110 section 5.6.7), formatted once a second.
class DateText {
  public:
    [[nodiscard]] std::string_view now();

  private:
    std::time_t second_ = -1;
    std::string text_;
};

/// Shared by the connections of one server.
struct Context {
    Limits limits;
    Handler handler;
    Refused refused = {};
    Counts counts = {};
    DateText date = {};
};

/// Requests are processed in order, one at a time. Create it with std::make_shared: replies refer to it.
class Conversation : public std::enable_shared_from_this<Conversation> {
  public:
    /// `context` outlives it. `answered` is called when a response was added to output() outside of receive() and
    /// proceed().
    Conversation(Context& context, Peer peer, std::function<void()> answered);
    Conversation(const Conversation&) = delete;
    Conversation& operator=(const Conversation&) = delete;
    ~Conversation();

    void receive(std::string_view bytes);
    /// Continues after output() was emptied.
    void proceed();
    /// Bytes to be sent; the sender removes them.
    [[nodiscard]] std::string& output() { return output_; }
    /// False: needs no input at present, because a response is pending or enough responses are queued.
    [[nodiscard]] bool wants_input() const;
    /// output() is complete: send it, then close.
    [[nodiscard]] bool over() const { return over_; }
    /// A request was refused that the client may still be sending: let it read the response before closing.
    [[nodiscard]] bool refused() const { return refused_; }
    /// Ends after the current request.
    void end();
    /// The connection is closed before its request is complete.
    void abandon();
    /// A request has begun and is not complete.
    [[nodiscard]] bool in_request() const;
    /// How many requests have begun.
    [[nodiscard]] std::uint64_t begun() const { return begun_; }

  private:
    friend class Reply;
    friend class Stream;
    struct Parser;  // keeps Beast out of this header

    void advance();
    /// False: it needs more input.
    bool parse();
    bool head_is_there();
    bool judge_head();
    void handle();
    void refuse(unsigned status, std::string_view detail);
    /// Reports that the current request was refused.
    void note_refusal(unsigned status) const;
    void complete(Response&& response);
    /// False: the request is answered, because it has no body (HEAD).
    bool begin_body(const Response& head);
    /// The same, and has it sent: answered_() may close the connection, and is called last.
    bool begin_stream(const Response& head);
    void stream(std::string_view piece);
    void end_stream();
    void begin_pieces(const Response& head, Pieces body);
    void print_piece();
    void finish(bool keep);
    enum class Body { whole, chunked, until_close };
    void print(const Response& response, bool keep, Body body);

    Context& context_;
    Peer peer_;
    std::function<void()> answered_;
    std::string input_;
    std::string output_;
    std::unique_ptr<Parser> parser_;
    std::string line_;   ///< of the current request, as far as it may be shown
    std::string first_;  ///< ... and the beginning of its body
    Pieces pieces_;      ///< rest of the body that is sent now
    std::uint64_t begun_ = 0;
    std::size_t scanned_ = 0;  ///< position in the input; the head does not end before it
    bool head_judged_ = false;
    bool awaiting_ = false;   ///< the handler has the request
    bool advancing_ = false;  ///< inside advance(), which continues after a reply
    bool keep_alive_ = true;
    bool head_only_ = false;
    bool http_1_0_ = false;
    bool stream_keeps_ = false;  ///< the connection, after the stream that is sent now
    bool over_ = false;
    bool refused_ = false;
    bool last_ = false;  ///< end() was called
};

}  // namespace flowd::http
