// SPDX-License-Identifier: Apache-2.0
// The floor of the REST benchmark: the least that a Boost.Beast server on one thread can do. Reads requests and answers
// each with the same 16 bytes; looks at nothing. usage: beast_floor PORT
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

class Session : public std::enable_shared_from_this<Session> {
  public:
    explicit Session(tcp::socket socket) : socket_(std::move(socket)) {}
    void read() {
        request_ = {};
        http::async_read(socket_, buffer_, request_,
                         [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                             if (!error) self->write();
                         });
    }

  private:
    void write() {
        response_ = {http::status::ok, 11};
        response_.set(http::field::content_type, "application/json");
        response_.body() = "{\"accepted\":1}\n ";
        response_.prepare_payload();
        http::async_write(socket_, response_, [self = shared_from_this()](boost::system::error_code error, std::size_t) {
            if (!error) self->read();
        });
    }
    tcp::socket socket_;
    boost::beast::flat_buffer buffer_;
    http::request<http::string_body> request_;
    http::response<http::string_body> response_;
};

void accept(tcp::acceptor& acceptor) {
    acceptor.async_accept([&acceptor](boost::system::error_code error, tcp::socket socket) {
        if (!error) std::make_shared<Session>(std::move(socket))->read();
        accept(acceptor);
    });
}

}  // namespace

int main(int count, char** words) {
    if (count != 2) {
        std::cerr << "usage: beast_floor PORT\n";
        return 2;
    }
    asio::io_context context(1);
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), static_cast<unsigned short>(std::atoi(words[1]))});
    accept(acceptor);
    context.run();
}
