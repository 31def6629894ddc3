// SPDX-License-Identifier: Apache-2.0
// The floor of the benchmarks over HTTP: the least that a Boost.Beast server on one thread can do. Reads requests and
// answers each with the same bytes, those of FILE or 16 of JSON; looks at nothing. usage: beast_floor PORT [FILE]
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/http/span_body.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

class Session : public std::enable_shared_from_this<Session> {
  public:
    Session(tcp::socket socket, const std::string& body) : socket_(std::move(socket)), body_(body) {}
    void read() {
        request_ = {};
        http::async_read(socket_, buffer_, request_,
                         [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                             if (!error) self->write();
                         });
    }

  private:
    void write() {
        response_ = {http::status::ok, request_.version()};
        response_.keep_alive(request_.keep_alive());
        response_.set(http::field::content_type, "application/json");
        response_.body() = {body_.data(), body_.size()};
        response_.prepare_payload();
        http::async_write(socket_, response_, [self = shared_from_this()](boost::system::error_code error, std::size_t) {
            if (error) return;
            if (self->response_.need_eof()) return (void)self->socket_.shutdown(tcp::socket::shutdown_send, error);
            self->read();
        });
    }
    tcp::socket socket_;
    const std::string& body_;
    boost::beast::flat_buffer buffer_;
    http::request<http::string_body> request_;
    http::response<http::span_body<const char>> response_;
};

void accept(tcp::acceptor& acceptor, const std::string& body) {
    acceptor.async_accept([&acceptor, &body](boost::system::error_code error, tcp::socket socket) {
        if (!error) std::make_shared<Session>(std::move(socket), body)->read();
        accept(acceptor, body);
    });
}

}  // namespace

int main(int count, char** words) {
    if (count < 2 || count > 3) {
        std::cerr << "usage: beast_floor PORT [FILE]\n";
        return 2;
    }
    std::string body = "{\"accepted\":1}\n ";
    if (count == 3) {
        std::ifstream file(words[2], std::ios::binary);
        body.assign(std::istreambuf_iterator<char>(file), {});
    }
    asio::io_context context(1);
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), static_cast<unsigned short>(std::atoi(words[1]))});
    accept(acceptor, body);
    context.run();
}
