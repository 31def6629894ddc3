// SPDX-License-Identifier: Apache-2.0
#include "lib/http/conversation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory_resource>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace flowd::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

/// A conversation whose handler answers with what it was asked, or later, or never.
class ConversationTest : public ::testing::Test {
  protected:
    ConversationTest() {
        context_.handler = [this](const Request& request, Reply reply) {
            asked_.push_back(std::string(request.method) + " " + std::string(request.path) + " " +
                             std::string(request.query) + " " + std::string(request.body));
            if (request.path == "/later") {
                later_.emplace(std::move(reply));
            } else if (request.path == "/stream") {
                stream_ = reply.stream({.content_type = "text/plain"});
                stream_.write("first");
            } else if (request.path == "/pieces") {
                reply.pieces({.content_type = "text/plain"}, [this](std::string& piece) {
                    if (++pieces_ == 4) throw std::runtime_error("on purpose");
                    piece = std::string(40'000, 'x');
                    return pieces_ != 3;
                });
            } else if (request.path == "/throw") {
                throw std::runtime_error("on purpose");
            } else if (request.path != "/forget") {
                reply({.content_type = "text/plain",
                       .body = request.path == "/big" ? std::string(50'000, 'x') : asked_.back()});
            }
        };
        restart();
    }
    void restart() {
        conversation_ = std::make_shared<Conversation>(context_, Peer{}, [this] { ++answered_; });
    }
    std::string say(std::string_view text) {
        conversation_->receive(text);
        return std::exchange(conversation_->output(), {});
    }
    static std::string get(const std::string& path, const std::string& more = "") {
        return "GET " + path + " HTTP/1.1\r\nHost: h\r\n" + more + "\r\n";
    }

    Context context_;
    std::shared_ptr<Conversation> conversation_;
    std::vector<std::string> asked_;
    std::optional<Reply> later_;
    Stream stream_;
    int pieces_ = 0;
    int answered_ = 0;
};

/// What a server's owner is told of.
class RefusalTest : public ConversationTest {
  protected:
    RefusalTest() {
        context_.refused = [this](unsigned status, const Peer&, std::string_view first) {
            told_.push_back(std::to_string(status) + " " + std::string(first));
        };
        auto answer = context_.handler;
        context_.handler = [answer](const Request& request, Reply reply) {
            if (request.path == "/404") return reply({.status = 404});
            if (request.path == "/401") return reply({.status = 401});
            if (request.path == "/503") return reply({.status = 503});
            answer(request, std::move(reply));
        };
    }
    std::vector<std::string> told_;
};

TEST_F(RefusalTest, IsReportedForEachRequestRefusedByTheServerOrItsHandler) {
    (void)say(get("/hello"));
    (void)say(get("/503"));
    EXPECT_TRUE(told_.empty()) << "neither is refused for what the client did";
    (void)say(get("/404"));
    (void)say(get("/404", "Transfer-Encoding: gzip\r\n"));
    restart();
    (void)say("\x16\x03\x01 hello\r\n\r\n");
    restart();
    (void)say("GET /long HTTP/1.1\r\n" + std::string(20'000, 'x'));
    EXPECT_EQ(told_, (std::vector<std::string>{"404 GET /404 HTTP/1.1", "501 GET /404 HTTP/1.1", "400 \x16\x03\x01 hello",
                                               "431 GET /long HTTP/1.1"}));
}

TEST_F(RefusalTest, ShowsTheBeginningOfTheBody) {
    (void)say("POST /404 HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\n" + std::string(300, 'b'));
    EXPECT_EQ(told_, std::vector<std::string>{"404 POST /404 HTTP/1.1 " + std::string(128, 'b')});
}

TEST_F(RefusalTest, ShowsNoTokenWhereverItStands) {
    (void)say(
        "POST /401?token=SECRET HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer SECRET\r\nContent-Length: 6\r\n\r\n"
        "SECRET");
    (void)say("Authorization: Bearer SECRET\r\n\r\n");
    restart();
    (void)say("authorization:SECRET\r\nGET / HTTP/1.1\r\n\r\n");
    restart();
    (void)say("GET /?token=SECRET\r\nAuthorization: Bearer SECRET\r\n\r\n");
    EXPECT_EQ(told_, (std::vector<std::string>{"401 POST /401", "400 ", "400 ", "400 GET /"}));
}

TEST_F(RefusalTest, IsReportedForAnIncompleteRequest) {
    (void)say("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12");
    conversation_->abandon();
    restart();
    conversation_->abandon();
    EXPECT_EQ(told_, std::vector<std::string>{"408 POST /x HTTP/1.1"})
        << "a connection that asks for nothing is not refused";
}

TEST_F(ConversationTest, AcceptsATargetInAbsoluteForm) {
    for (const auto& [target, seen] : std::vector<std::pair<std::string, std::string>>{
             {"http://h:80/a/b?c=d", "GET /a/b c=d "},
             {"HTTP://h/", "GET /  "},
             {"http://h", "GET /  "},
             {"https://[::1]?q", "GET / q "},
             {"/x?y=http://h/z", "GET /x y=http://h/z "},
         }) {
        asked_.clear();
        EXPECT_THAT(say(get(target)), StartsWith("HTTP/1.1 200")) << target;
        ASSERT_EQ(asked_.size(), 1u) << target;
        EXPECT_EQ(asked_[0], seen);
    }
}

TEST_F(ConversationTest, AnswersARequest) {
    EXPECT_THAT(say(get("/a?b=c&d")),
                MatchesRegex("HTTP/1.1 200 OK\r\nDate: [A-Z][a-z]+, [0-9]+ [A-Z][a-z]+ 20[0-9]+ [0-9:]+ GMT\r\n"
                             "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nGET /a b=c&d "));
    EXPECT_FALSE(conversation_->over());
}

TEST_F(ConversationTest, TakesARequestByteByByte) {
    const std::string request = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
    std::string out;
    for (const char c : request) {
        EXPECT_EQ(out, "");
        out += say({&c, 1});
    }
    EXPECT_THAT(out, HasSubstr("POST /a  hello"));
    EXPECT_EQ(conversation_->begun(), 1u);
}

TEST_F(ConversationTest, LimitsAHeadWhateverItsSegmentation) {
    const std::string start = "GET /a HTTP/1.1\r\nHost: h\r\nX: ";
    for (const std::size_t surplus : {0u, 1u}) {
        const std::string request =
            start + std::string(context_.limits.max_head + surplus - start.size(), 'x') + "\r\n\r\n";
        const std::string expected = surplus == 0 ? "HTTP/1.1 200 " : "HTTP/1.1 431 ";
        restart();
        EXPECT_THAT(say(request), StartsWith(expected)) << "whole, longer by " << surplus;
        restart();
        std::string out;
        for (const char c : request) out += say({&c, 1});
        EXPECT_THAT(out, StartsWith(expected)) << "byte by byte, longer by " << surplus;
    }
}

TEST_F(ConversationTest, AnswersSeveralRequestsInTheirOrder) {
    const std::string out = say(get("/1") + "\r\n" + get("/2") + get("/3"));
    EXPECT_LT(out.find("GET /1"), out.find("GET /2"));
    EXPECT_LT(out.find("GET /2"), out.find("GET /3"));
    EXPECT_EQ(asked_.size(), 3u);
}

TEST_F(ConversationTest, ReadsChunks) {
    const std::string request =
        "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: "
        "t\r\n\r\n";
    EXPECT_THAT(say(request + get("/b")), HasSubstr("POST /a  abc0123456789"));
    EXPECT_EQ(asked_.size(), 2u);
    for (const char c : request) say({&c, 1});
    EXPECT_EQ(asked_.size(), 3u);
    EXPECT_EQ(asked_[2], asked_[0]);
}

TEST_F(ConversationTest, IgnoresFieldsAfterTheBody) {
    // RFC 9110 section 6.5.1: a trailer must not be merged with the head, where it could replace what was judged.
    std::string authorization = "none";
    context_.handler = [&](const Request& request, Reply reply) {
        authorization = request.authorization;
        reply({});
    };
    EXPECT_THAT(say("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
                    "Authorization: Bearer x\r\n\r\n"),
                StartsWith("HTTP/1.1 200"));
    EXPECT_EQ(authorization, "");
}

TEST_F(ConversationTest, Sends100Continue) {
    const std::string head = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    EXPECT_EQ(say(head), "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_THAT(say("ok"), StartsWith("HTTP/1.1 200 OK"));
    EXPECT_THAT(say(head + "ok"), StartsWith("HTTP/1.1 200 OK")) << "it came already";
}

TEST_F(ConversationTest, LeavesTheBodyOutForHead) {
    const std::string out = say("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(out, HasSubstr("Content-Length: 8\r\n"));
    EXPECT_TRUE(out.ends_with("\r\n\r\n")) << out;
    EXPECT_EQ(asked_.at(0), "GET /a  ");
}

TEST_F(ConversationTest, EndsAtTheClientsRequest) {
    EXPECT_THAT(say(get("/a", "Connection: close\r\n") + get("/b")), HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(conversation_->over());
    EXPECT_EQ(asked_.size(), 1u) << "what follows is not looked at";
    restart();
    say("GET / HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(conversation_->over());
    restart();
    EXPECT_THAT(say("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), HasSubstr("Connection: keep-alive\r\n"));
    EXPECT_FALSE(conversation_->over());
}

TEST_F(ConversationTest, WaitsForALateAnswerBeforeTheNextRequest) {
    EXPECT_EQ(say(get("/later") + get("/next")), "");
    EXPECT_FALSE(conversation_->wants_input());
    EXPECT_EQ(asked_.size(), 1u);
    (*later_)({.body = "{}"});
    EXPECT_EQ(answered_, 1);
    EXPECT_THAT(conversation_->output(), HasSubstr("GET /next"));
    later_.reset();
    EXPECT_EQ(asked_.size(), 2u);
    EXPECT_TRUE(conversation_->wants_input());
}

TEST_F(ConversationTest, AnswersForAHandlerThatForgetsOrFails) {
    EXPECT_THAT(say(get("/forget")), StartsWith("HTTP/1.1 500 Internal Server Error"));
    EXPECT_THAT(say(get("/throw")), StartsWith("HTTP/1.1 500 Internal Server Error"));
    EXPECT_EQ(context_.counts.failed, 1u);
    EXPECT_THAT(say(get("/a")), StartsWith("HTTP/1.1 200"));
}

TEST_F(ConversationTest, IgnoresAnAnswerAfterItsEnd) {
    say(get("/later"));
    conversation_.reset();
    (*later_)({});
    EXPECT_EQ(answered_, 0);
}

TEST_F(ConversationTest, StopsReadingWhileAnswersWaitToBeSent) {
    const std::string asks = get("/big") + get("/big") + get("/big");
    conversation_->receive(asks);
    EXPECT_EQ(asked_.size(), 2u);
    EXPECT_FALSE(conversation_->wants_input());
    conversation_->output().clear();
    conversation_->proceed();
    EXPECT_EQ(asked_.size(), 3u);
    EXPECT_TRUE(conversation_->wants_input());
}

TEST_F(ConversationTest, EndsAtOnceIfIdleOtherwiseAfterTheCurrentAnswer) {
    conversation_->end();
    EXPECT_TRUE(conversation_->over());
    restart();
    say(get("/later").substr(0, 10));
    conversation_->end();
    EXPECT_FALSE(conversation_->over());
    say(get("/later").substr(10) + get("/next"));
    (*later_)({});
    EXPECT_THAT(conversation_->output(), HasSubstr("Connection: close"));
    EXPECT_TRUE(conversation_->over());
    EXPECT_EQ(asked_.size(), 1u);
}

struct RefusedHead {
    const char* what;
    unsigned status;
    std::string text;
};

class RefusedRequest : public ConversationTest, public ::testing::WithParamInterface<RefusedHead> {};

TEST_P(RefusedRequest, IsAnsweredWithAProblemAndClosed) {
    context_.limits.max_body = 100;
    const std::string out = say(GetParam().text);
    EXPECT_THAT(out, StartsWith("HTTP/1.1 " + std::to_string(GetParam().status) + " ")) << GetParam().what;
    EXPECT_THAT(out, HasSubstr("Content-Type: application/problem+json\r\n"));
    EXPECT_THAT(out, HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(conversation_->over());
    EXPECT_TRUE(conversation_->refused());
    EXPECT_EQ(say(get("/a")), "") << "nothing follows";
    EXPECT_TRUE(asked_.empty());
    EXPECT_EQ(context_.counts.malformed, 1u);
}

const std::string post = "POST / HTTP/1.1\r\nHost: h\r\n";

INSTANTIATE_TEST_SUITE_P(
    Nonsense, RefusedRequest,
    ::testing::Values(
        RefusedHead{"no HTTP", 400, "start\r\n\r\n"},
        RefusedHead{"a TLS hello", 400, std::string("\x16\x03\x01\x02\x00\x01\r\n\r\n", 10)},
        RefusedHead{"HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\n"}, RefusedHead{"no Host", 400, "GET / HTTP/1.1\r\n\r\n"},
        RefusedHead{"two Hosts", 400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
        RefusedHead{"a header without a colon", 400, "GET / HTTP/1.1\r\nHost\r\n\r\n"},
        RefusedHead{"a folded header with a NUL", 400, std::string("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 29)},
        RefusedHead{"a blank before the colon", 400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
        RefusedHead{"a long head", 431, "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(9000, 'x') + "\r\n\r\n"},
        RefusedHead{"a long target", 431, "GET /" + std::string(9000, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n"},
        RefusedHead{"a long body", 413, post + "Content-Length: 101\r\n\r\n"},
        RefusedHead{"a body of 2^64", 400, post + "Content-Length: 18446744073709551616\r\n\r\n"},
        RefusedHead{"a negative length", 400, post + "Content-Length: -1\r\n\r\n"},
        RefusedHead{"two lengths", 400, post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
        RefusedHead{"length and chunks", 400,
                    post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"},
        RefusedHead{"chunks and length", 400,
                    post + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\na\r\n0\r\n\r\n"},
        RefusedHead{"another coding", 501, post + "Transfer-Encoding: gzip\r\n\r\n"},
        RefusedHead{"another coding beside a length", 501,
                    post + "Transfer-Encoding: xchunked\r\nContent-Length: 1\r\n\r\na"},
        RefusedHead{"two codings", 501, post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
        RefusedHead{"two fields of coding", 501,
                    post + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        RefusedHead{"a chunk that is no number", 400, post + "Transfer-Encoding: chunked\r\n\r\nx\r\n"},
        RefusedHead{"a chunk without its end", 400, post + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n"},
        RefusedHead{"a huge chunk", 413, post + "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n"},
        RefusedHead{"many small chunks", 413,
                    post + "Transfer-Encoding: chunked\r\n\r\n" +
                        [] {
                            std::string chunks;
                            for (int i = 0; i < 101; ++i) chunks += "1\r\na\r\n";
                            return chunks;
                        }()},
        RefusedHead{"a chunk extension without end", 400,
                    post + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(30'000, 'x')},
        RefusedHead{"trailers without end", 400,
                    post + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + std::string(30'000, 'x')},
        RefusedHead{"another expectation", 417, post + "Expect: a miracle\r\nContent-Length: 1\r\n\r\n"}));

TEST_F(ConversationTest, AStreamIsSentInChunksAndTheNextRequestWaitsForItsEnd) {
    const std::string begin = say(get("/stream") + get("/next"));
    EXPECT_THAT(begin, HasSubstr("\r\nTransfer-Encoding: chunked\r\n"));
    EXPECT_THAT(begin, Not(HasSubstr("Content-Length")));
    EXPECT_THAT(begin, ::testing::EndsWith("\r\n\r\n5\r\nfirst\r\n"));
    EXPECT_FALSE(conversation_->wants_input());
    stream_.write("twelve bytes");
    EXPECT_EQ(answered_, 1);
    EXPECT_EQ(stream_.pending(), conversation_->output().size());
    EXPECT_EQ(std::exchange(conversation_->output(), {}), "c\r\ntwelve bytes\r\n");
    stream_.write("");
    EXPECT_TRUE(conversation_->output().empty()) << "an empty chunk would end the body";
    stream_ = {};
    EXPECT_THAT(conversation_->output(), StartsWith("0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(asked_, ::testing::ElementsAre("GET /stream  ", "GET /next  "));
}

TEST_F(ConversationTest, AStreamToAnHttp10ClientEndsWithTheConnection) {
    const std::string begin = say("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_THAT(begin, HasSubstr("\r\nConnection: close\r\n"));
    EXPECT_THAT(begin, Not(HasSubstr("chunked")));
    EXPECT_THAT(begin, ::testing::EndsWith("\r\n\r\nfirst"));
    stream_ = {};
    EXPECT_TRUE(conversation_->output().empty());
    EXPECT_TRUE(conversation_->over());
}

/// Counts what is allocated, while it is the default one.
class CountingResource : public std::pmr::memory_resource {
  public:
    CountingResource() : before_(std::pmr::set_default_resource(this)) {}
    ~CountingResource() override { std::pmr::set_default_resource(before_); }
    std::size_t bytes = 0, most = 0;

  private:
    void* do_allocate(std::size_t size, std::size_t alignment) override {
        bytes += size;
        most = std::max(most, bytes);
        return before_->allocate(size, alignment);
    }
    void do_deallocate(void* place, std::size_t size, std::size_t alignment) override {
        bytes -= size;
        before_->deallocate(place, size, alignment);
    }
    [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
    std::pmr::memory_resource* before_;
};

TEST_F(ConversationTest, AnIdleConnectionDoesNotKeepTheFieldsOfItsRequests) {
    CountingResource memory;
    restart();
    std::string fields;
    for (int i = 0; i < 60; ++i) fields += "X-Field-" + std::to_string(i) + ": " + std::string(100, 'x') + "\r\n";
    for (int i = 0; i < 3; ++i) {
        EXPECT_THAT(say(get("/hello", fields)), StartsWith("HTTP/1.1 200 OK\r\n"));
        EXPECT_EQ(memory.bytes, 0u);
    }
    EXPECT_GT(memory.most, 6000u);
    EXPECT_THAT(say(get("/hello", "Other: " + std::string(20'000, 'x') + "\r\n")), StartsWith("HTTP/1.1 431 "));
    EXPECT_EQ(memory.bytes, 0u) << "nor those that it refuses";
    conversation_.reset();
}

TEST_F(ConversationTest, PiecesArePrintedAsTheyAreSent) {
    EXPECT_THAT(say(get("/pieces") + get("/next")), StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_EQ(pieces_, 2) << "more than 64 KiB wait for the client";
    conversation_->proceed();
    EXPECT_EQ(pieces_, 3);
    EXPECT_THAT(conversation_->output(), HasSubstr("xxx\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n")) << "the next one is answered";
}

TEST_F(ConversationTest, PiecesThatFailEndWithTheConnection) {
    pieces_ = 3;
    EXPECT_THAT(say(get("/pieces") + get("/next")), EndsWith("\r\n\r\n")) << "the last chunk is missing";
    EXPECT_TRUE(conversation_->over());
    EXPECT_EQ(context_.counts.failed, 1U);
    EXPECT_THAT(asked_, ::testing::ElementsAre("GET /pieces  "));
}

TEST_F(ConversationTest, APiecewiseResponseThatBeginsLaterIsAnnouncedOnce) {
    EXPECT_THAT(say(get("/later")), "");
    later_->pieces({.content_type = "text/plain"}, [](std::string& piece) {
        piece = "all";
        return false;
    });
    EXPECT_EQ(answered_, 1) << "the callback may destroy the session";
    EXPECT_THAT(conversation_->output(), EndsWith("\r\n3\r\nall\r\n0\r\n\r\n"));
}

TEST_F(ConversationTest, PiecesAreNotPrintedForHead) {
    EXPECT_THAT(say("HEAD /pieces HTTP/1.1\r\nHost: h\r\n\r\n"), EndsWith("\r\n\r\n"));
    EXPECT_EQ(pieces_, 0);
    EXPECT_TRUE(conversation_->wants_input());
}

TEST_F(ConversationTest, AStreamIsNotOpenedForHead) {
    const std::string head = say("HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(head, ::testing::EndsWith("\r\n\r\n"));
    EXPECT_FALSE(stream_.is_open());
    EXPECT_TRUE(conversation_->wants_input());
}

TEST_F(ConversationTest, AStreamKnowsThatItsConnectionIsGone) {
    say(get("/stream"));
    EXPECT_TRUE(stream_.is_open());
    conversation_.reset();
    EXPECT_FALSE(stream_.is_open());
    stream_.write("no effect");
    EXPECT_EQ(stream_.pending(), 0U);
}

TEST_F(ConversationTest, TheConnectionOfAStreamIsClosedAfterItIfTheServerIsDraining) {
    say(get("/stream"));
    conversation_->end();
    EXPECT_FALSE(conversation_->over());
    stream_ = {};
    EXPECT_EQ(conversation_->output(), "0\r\n\r\n");
    EXPECT_TRUE(conversation_->over());
}

}  // namespace
}  // namespace flowd::http
