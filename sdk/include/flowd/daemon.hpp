// SPDX-License-Identifier: Apache-2.0
// flowd/daemon.hpp: the answers of the running daemon, those that `flowd-cpp WORD... --json` prints.
#pragma once

#include <functional>
#include <initializer_list>
#include <list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flowd/abi/ext/daemon.h"
#include "flowd/host.hpp"
#include "flowd/result.hpp"
#include "flowd/sized.hpp"

namespace flowd {

/// For a tool: asks, and waits for the answer. False: the core offers none.
class Daemon {
  public:
    explicit Daemon(const Host& host)
        : host_(host.raw()), ext_(copy_sized<flowd_ext_daemon>(host.extension(FLOWD_EXT_DAEMON))) {}

    explicit operator bool() const { return ext_.ask != nullptr; }
    /// The JSON value that `flowd-cpp WORD... --json` prints.
    [[nodiscard]] Result<std::string> ask(std::initializer_list<std::string_view> words) const {
        if (ext_.ask == nullptr) return Error{FLOWD_UNSUPPORTED, "the core lets no tool ask the daemon"};
        std::vector<flowd_string> raw;
        for (const std::string_view word : words) raw.push_back(to_c(word));
        std::string answer;
        flowd_writer writer{};
        writer.size = sizeof writer;
        writer.context = &answer;
        writer.write = [](const flowd_writer* self, flowd_string text) -> flowd_result {
            static_cast<std::string*>(self->context)->append(to_view(text));
            return FLOWD_OK;
        };
        const flowd_result result = ext_.ask(host_, raw.data(), raw.size(), &writer);
        if (result < 0) return Error{result, answer.empty() ? "the daemon does not answer" : answer};
        return answer;
    }

  private:
    const flowd_host* host_;
    flowd_ext_daemon ext_;
};

/// For an instance: requests whose answers come later, on the instance's thread. [instance]; lives as long as the
/// component.
class Requests {
  public:
    /// `answer` is one JSON value; if `result` is negative, an object whose member "error" says why.
    using Answered = std::function<void(flowd_result result, std::string_view answer)>;

    explicit Requests(const Host& host)
        : host_(host.raw()), ext_(copy_sized<flowd_ext_daemon>(host.extension(FLOWD_EXT_DAEMON))) {}
    Requests(const Requests&) = delete;
    Requests& operator=(const Requests&) = delete;

    explicit operator bool() const { return ext_.request != nullptr; }
    /// An error: `answered` will not be called.
    [[nodiscard]] Result<void> send(const std::vector<std::string>& words, Answered answered) {
        if (ext_.request == nullptr) return Error{FLOWD_UNSUPPORTED, "the core answers no requests of instances"};
        std::vector<flowd_string> raw;
        raw.reserve(words.size());
        for (const std::string& word : words) raw.push_back(to_c(word));
        outstanding_.push_front({*this, std::move(answered), {}});
        outstanding_.front().self = outstanding_.begin();
        const flowd_result result = ext_.request(host_, raw.data(), raw.size(), &Requests::take, &outstanding_.front());
        if (result >= 0) return {};
        outstanding_.pop_front();
        return Error{result, result == FLOWD_LIMIT ? "too many requests are outstanding" : "the daemon is stopping"};
    }

  private:
    struct Outstanding {
        Requests& requests;
        Answered answered;
        std::list<Outstanding>::iterator self;
    };
    static void take(void* user, flowd_result result, flowd_string answer) {
        auto& one = *static_cast<Outstanding*>(user);
        std::list<Outstanding> taken;
        taken.splice(taken.begin(), one.requests.outstanding_, one.self);
        detail::guarded(one.requests.host_, "an answer's callback", [&] { one.answered(result, to_view(answer)); });
    }

    const flowd_host* host_;
    flowd_ext_daemon ext_;
    std::list<Outstanding> outstanding_;
};

}  // namespace flowd
