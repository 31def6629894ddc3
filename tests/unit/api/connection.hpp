// SPDX-License-Identifier: Apache-2.0
// A connection without a socket, that has asked for one thing.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lib/http/conversation.hpp"

namespace flowd::api::test {

class Connection {
  public:
    /// Nothing: it comes later, and has taken the reply.
    using Handler = std::function<std::optional<http::Response>(http::Reply&)>;

    explicit Connection(Handler handler) {
        context_.handler = [handler = std::move(handler)](const http::Request&, http::Reply reply) {
            if (auto response = handler(reply)) reply(std::move(*response));
        };
        conversation_->receive("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Empty before it has come.
    [[nodiscard]] std::string answer() const { return conversation_->output(); }
    void close() { conversation_.reset(); }

  private:
    http::Context context_;
    std::shared_ptr<http::Conversation> conversation_ = std::make_shared<http::Conversation>(context_, http::Peer{}, [] {});
};

}  // namespace flowd::api::test
