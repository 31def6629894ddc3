// SPDX-License-Identifier: Apache-2.0
#include "lib/http/conversation.hpp"

#include <algorithm>
#include <array>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <charconv>
#include <cstddef>
#include <memory_resource>
#include <optional>
#include <tuple>
#include <utility>

#include "lib/http/problem.hpp"
#include "lib/http/reason.hpp"
#include "lib/text/words.hpp"

namespace flowd::http {
namespace {

namespace beast = boost::beast;
namespace bh = boost::beast::http;

/// Responses that may be queued in a connection before its next request is parsed.
constexpr std::size_t most_output = 64 * 1024;
/// Input that a connection may buffer in addition to a head.
constexpr std::size_t most_input = 16 * 1024;

[[nodiscard]] std::string_view view(beast::string_view text) {
    return {text.data(), text.size()};
}

/// The path and query of a target in absolute form, which is meant for proxies, but which servers accept (RFC 9112 section
/// 3.2.2); other targets unchanged.
[[nodiscard]] std::string_view origin_form(std::string_view target) {
    const auto authority = target.find("://");
    if (authority == std::string_view::npos) return target;
    const std::string_view given = target.substr(0, authority);
    if (!beast::iequals({given.data(), given.size()}, "http") && !beast::iequals({given.data(), given.size()}, "https"))
        return target;
    const auto path = target.find_first_of("/?", authority + 3);
    return path == std::string_view::npos ? std::string_view() : target.substr(path);
}

/// The part of a refused request that may be shown.
constexpr std::size_t most_shown = 128;

/// The request line up to its query. Empty if a header field is in place of the request line.
[[nodiscard]] std::string_view shown_line(std::string_view input) {
    input = input.substr(0, most_shown);
    const auto end = std::find_if(input.begin(), input.end(), [](char c) { return c == '\r' || c == '\n' || c == '?'; });
    const std::string_view line = input.substr(0, static_cast<std::size_t>(end - input.begin()));
    return line.substr(0, line.find(' ')).find(':') == std::string_view::npos ? line : std::string_view();
}

struct Refusal {
    unsigned status;
    std::string_view detail;
};

[[nodiscard]] Refusal refusal_of(const beast::error_code& error) {
    if (error == bh::error::body_limit) return {413, "the body of the request is too long"};
    if (error == bh::error::bad_version) return {505, "only HTTP/1.0 and HTTP/1.1 are supported"};
    if (error == bh::error::bad_chunk || error == bh::error::bad_chunk_extension) return {400, "the chunks are malformed"};
    if (error == bh::error::bad_content_length || error == bh::error::bad_transfer_encoding)
        return {400, "the length of the body is contradictory"};
    return {400, "the request is malformed"};
}

/// The fields of a request that are used; the first one if there are several. Read in one pass.
struct Head {
    std::size_t hosts = 0, codings = 0;
    std::string_view host, coding, expect, content_type, authorization, accept, accept_encoding;

    template <typename Message>
    void read(const Message& message) {
        *this = {};
        for (const auto& field : message) {
            switch (field.name()) {
                case bh::field::host:
                    if (++hosts == 1) host = view(field.value());
                    break;
                case bh::field::transfer_encoding:
                    if (++codings == 1) coding = view(field.value());
                    break;
                case bh::field::expect:
                    first(expect, field.value());
                    break;
                case bh::field::content_type:
                    first(content_type, field.value());
                    break;
                case bh::field::authorization:
                    first(authorization, field.value());
                    break;
                case bh::field::accept:
                    first(accept, field.value());
                    break;
                case bh::field::accept_encoding:
                    first(accept_encoding, field.value());
                    break;
                default:
                    break;
            }
        }
    }

  private:
    static void first(std::string_view& to, beast::string_view value) {
        if (to.data() == nullptr) to = view(value);
    }
};

}  // namespace

struct Conversation::Parser {
    using Allocator = std::pmr::polymorphic_allocator<char>;

    void begin() { one.emplace(std::piecewise_construct, std::make_tuple(), std::make_tuple(Allocator(&fields))); }
    void end() {
        one.reset();
        fields.release();
    }

    std::array<std::byte, 1024> room;  ///< for the fields of most requests: an allocation for each takes longer
    std::pmr::monotonic_buffer_resource fields{room.data(), room.size()};
    std::optional<bh::request_parser<bh::string_body, Allocator>> one;
    Head head;
};

Reply::~Reply() {
    if (!conversation_.expired()) (*this)(problem(500, {.detail = "the request was not answered"}));
}

void Reply::operator()(Response response) {
    if (const auto conversation = std::exchange(conversation_, {}).lock()) conversation->complete(std::move(response));
}

Stream Reply::stream(const Response& head) {
    const auto conversation = std::exchange(conversation_, {}).lock();
    return conversation && conversation->begin_stream(head) ? Stream(conversation) : Stream();
}

void Reply::pieces(const Response& head, Pieces body) {
    if (const auto conversation = std::exchange(conversation_, {}).lock())
        conversation->begin_pieces(head, std::move(body));
}

Stream::~Stream() {
    if (const auto conversation = conversation_.lock()) conversation->end_stream();
}

std::size_t Stream::pending() const {
    const auto conversation = conversation_.lock();
    return conversation ? conversation->output_.size() : 0;
}

void Stream::write(std::string_view piece) {
    if (const auto conversation = conversation_.lock()) conversation->stream(piece);
}

std::string_view DateText::now() {
    const std::time_t second = std::time(nullptr);
    if (second == second_) return text_;
    second_ = second;
    std::tm utc{};
    ::gmtime_r(&second, &utc);
    static constexpr std::string_view days = "SunMonTueWedThuFriSat";
    static constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char rest[32];
    std::strftime(rest, sizeof rest, " %Y %H:%M:%S GMT", &utc);
    char day[8];
    std::strftime(day, sizeof day, ", %d ", &utc);
    text_.assign(days.substr(static_cast<std::size_t>(utc.tm_wday) * 3, 3)).append(day);
    text_.append(months.substr(static_cast<std::size_t>(utc.tm_mon) * 3, 3)).append(rest);
    return text_;
}

Conversation::Conversation(Context& context, Peer peer, std::function<void()> answered)
    : context_(context), peer_(peer), answered_(std::move(answered)), parser_(std::make_unique<Parser>()) {}

Conversation::~Conversation() = default;

void Conversation::receive(std::string_view bytes) {
    if (over_) return;
    input_.append(bytes);
    advance();
}

void Conversation::proceed() {
    advance();
}

bool Conversation::in_request() const {
    return !awaiting_ && !over_ && parser_->one.has_value();
}

bool Conversation::wants_input() const {
    return !over_ && !awaiting_ && output_.size() < most_output;
}

void Conversation::end() {
    last_ = true;
    if (!awaiting_ && !parser_->one && input_.empty()) over_ = true;
}

void Conversation::advance() {
    if (advancing_) return;
    advancing_ = true;
    while (pieces_ ? output_.size() < most_output : wants_input() && parse())
        if (pieces_) print_piece();
    advancing_ = false;
}

bool Conversation::parse() {
    auto& parser = parser_->one;
    if (!parser) {
        // A server should ignore an empty line in front of a request (RFC 9112 section 2.2).
        input_.erase(0, std::min(input_.find_first_not_of("\r\n"), input_.size()));
        if (input_.empty()) return false;
        ++begun_;
        line_.clear();
        first_.clear();
        scanned_ = 0;
        head_judged_ = false;
        parser_->begin();
        parser->header_limit(static_cast<std::uint32_t>(context_.limits.max_head) +
                             16);  // head_is_there() has a lower limit
        parser->body_limit(context_.limits.max_body);
    }
    if (!head_judged_ && !head_is_there()) return false;
    if (!parser->is_done() && input_.empty()) return false;
    beast::error_code error;
    input_.erase(0, parser->put(boost::asio::buffer(input_), error));
    if (error == bh::error::need_more) {
        if (input_.size() < context_.limits.max_head + most_input) return false;
        refuse(400, "the request is malformed");
        return false;
    }
    if (error) {
        const Refusal refusal = refusal_of(error);
        refuse(refusal.status, refusal.detail);
        return false;
    }
    if (parser->is_header_done() && !std::exchange(head_judged_, true) && !judge_head()) return false;
    if (parser->is_done()) handle();
    return true;
}

bool Conversation::head_is_there() {
    // Beast applies its limit to the input of one call; with whole heads the result does not depend on how they arrive.
    const auto end = input_.find("\r\n\r\n", scanned_ < 3 ? 0 : scanned_ - 3);
    scanned_ = input_.size();
    line_ = shown_line(input_);
    // The first three bytes of the terminator may be the last ones of the input.
    if (std::min(end, input_.size() - std::min<std::size_t>(3, input_.size())) > context_.limits.max_head)
        refuse(431, "the head of the request is too long");
    return end != std::string::npos && parser_->one.has_value();
}

bool Conversation::judge_head() {
    const auto& message = parser_->one->get();
    Head& head = parser_->head;
    head.read(message);
    http_1_0_ = message.version() == 10;
    if (!http_1_0_ && head.hosts != 1) return refuse(400, "HTTP/1.1 requires exactly one Host"), false;
    // Beast treats a body with another coding as absent: the body would be parsed as the next request.
    if (head.codings > 1 || (head.codings == 1 && !text::same_word(head.coding, "chunked")))
        return refuse(501, "chunked is the only Transfer-Encoding that is supported"), false;
    if (!head.expect.empty() && !http_1_0_) {
        if (!text::same_word(head.expect, "100-continue"))
            return refuse(417, "100-continue is the only Expect that is supported"), false;
        if (!parser_->one->is_done() && input_.empty()) output_.append("HTTP/1.1 100 Continue\r\n\r\n");
    }
    return true;
}

void Conversation::handle() {
    ++context_.counts.requests;
    const auto& message = parser_->one->get();
    keep_alive_ = parser_->one->keep_alive();
    const std::string_view method = view(message.method_string());
    head_only_ = method == "HEAD";
    const std::string_view target = origin_form(view(message.target()));
    const auto mark = std::min(target.find('?'), target.size());
    awaiting_ = true;
    if (!message.body().empty())
        first_.assign(line_).append(" ").append(message.body(), 0, most_shown);  // keeps its memory
    const Head& head = parser_->head;
    const Request request{.method = head_only_ ? std::string_view("GET") : method,
                          .path = mark == 0 ? std::string_view("/") : target.substr(0, mark),
                          .query = target.substr(std::min(mark + 1, target.size())),
                          .host = head.host,
                          .content_type = head.content_type,
                          .authorization = head.authorization,
                          .accept = head.accept,
                          .accept_encoding = head.accept_encoding,
                          .body = message.body(),
                          .peer = peer_,
                          .followed = !input_.empty()};
    try {
        context_.handler(request, Reply(weak_from_this()));
    } catch (...) {  // the destructor of the reply has sent 500
        ++context_.counts.failed;
    }
    parser_->end();
}

void Conversation::refuse(unsigned status, std::string_view detail) {
    ++context_.counts.malformed;
    keep_alive_ = false;
    head_only_ = false;
    refused_ = true;
    parser_->end();
    input_.clear();
    first_.clear();
    complete(problem(status, {.detail = detail}));
}

void Conversation::abandon() {
    if (in_request()) note_refusal(408);
}

void Conversation::note_refusal(unsigned status) const {
    if (!context_.refused) return;
    // If the client has no token, only the request line is shown.
    context_.refused(status, peer_, first_.empty() || status == 401 ? line_ : first_);
}

void Conversation::complete(Response&& response) {
    if (refused_ || response.status / 100 == 4) note_refusal(response.status);
    const bool keep = keep_alive_ && !last_;
    print(response, keep, Body::whole);
    finish(keep);
}

bool Conversation::begin_body(const Response& head) {
    const Body body = http_1_0_ ? Body::until_close : Body::chunked;
    stream_keeps_ = keep_alive_ && !last_ && body == Body::chunked;
    print(head, stream_keeps_, body);
    if (head_only_) finish(stream_keeps_);
    return !head_only_;
}

bool Conversation::begin_stream(const Response& head) {
    if (!begin_body(head)) return false;
    if (!advancing_) answered_();
    return true;
}

void Conversation::stream(std::string_view piece) {
    if (piece.empty()) return;  // an empty chunk would be the last one
    if (!http_1_0_) {
        char digits[24];
        const auto end = std::to_chars(digits, digits + sizeof digits, piece.size(), 16).ptr;
        output_.append(digits, static_cast<std::size_t>(end - digits)).append("\r\n");
    }
    output_.append(piece);
    if (!http_1_0_) output_.append("\r\n");
    if (!advancing_) answered_();
}

void Conversation::end_stream() {
    if (!http_1_0_) output_.append("0\r\n\r\n");
    finish(stream_keeps_ && !last_);
}

void Conversation::begin_pieces(const Response& head, Pieces body) {
    if (!begin_body(head)) return;
    pieces_ = std::move(body);
    if (advancing_) return;
    advance();
    answered_();
}

void Conversation::print_piece() {
    std::string piece;
    bool last = true;
    try {
        last = !pieces_(piece);
    } catch (...) {  // without the last chunk, the client notices that the body is not complete
        ++context_.counts.failed;
        pieces_ = {};
        return finish(false);
    }
    stream(piece);
    if (!last) return;
    pieces_ = {};
    end_stream();
}

void Conversation::finish(bool keep) {
    awaiting_ = false;
    if (!keep) {
        over_ = true;
        input_.clear();
    }
    if (advancing_) return;
    advance();
    answered_();
}

void Conversation::print(const Response& response, bool keep, Body body) {
    char digits[24];
    const auto number = [&digits](std::size_t value) {
        return std::string_view(
            digits, static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, value).ptr - digits));
    };
    output_.append("HTTP/1.1 ").append(number(response.status)).append(" ").append(reason(response.status));
    output_.append("\r\nDate: ").append(context_.date.now());
    if (body != Body::whole) {
        output_.append("\r\nContent-Type: ").append(response.content_type);
        if (body == Body::chunked) output_.append("\r\nTransfer-Encoding: chunked");
    } else if (response.status != 204) {
        if (!response.body.empty()) output_.append("\r\nContent-Type: ").append(response.content_type);
        output_.append("\r\nContent-Length: ").append(number(response.body.size()));
    }
    if (!keep)
        output_.append("\r\nConnection: close");
    else if (http_1_0_)
        output_.append("\r\nConnection: keep-alive");
    for (const auto& [name, value] : response.headers) output_.append("\r\n").append(name).append(": ").append(value);
    output_.append("\r\n\r\n");
    if (!head_only_ && response.status != 204 && body == Body::whole) output_.append(response.body);
}

}  // namespace flowd::http
