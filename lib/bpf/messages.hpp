// SPDX-License-Identifier: Apache-2.0
// lib/bpf/messages.hpp: what libbpf and the verifier say during the calls of one thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "flowd/abi/base.h"
#include "flowd/result.hpp"

namespace flowd::bpf {

/// Receives the log lines of libbpf and the verifier. Called on the thread that uses the object.
using LogSink = std::function<void(flowd_level, std::string_view)>;

/// What explains a failure.
struct Heard {
    std::string warning = {};  ///< the last warning of libbpf
    std::string program = {};  ///< that the verifier refused; empty: it refused none
    std::string verdict = {};  ///< the last line of its log
};

/// Captures the messages of this thread while it exists. Captures may be nested: the inner one gets the messages.
/// libbpf has one print function in a process, and each module has its own copy of this code. The copies are a chain: a
/// message goes to the copy whose thread captures; without one, it is dropped.
class Messages {
  public:
    /// `sink` is borrowed.
    explicit Messages(const LogSink& sink);
    Messages(const Messages&) = delete;
    Messages& operator=(const Messages&) = delete;
    ~Messages();

    void take(bool is_warning, bool is_debug, std::string_view text);
    [[nodiscard]] const Heard& heard() const { return heard_; }

  private:
    void note(std::string_view line);

    const LogSink& sink_;
    Messages* outer_;
    Heard heard_;
    bool in_log_ = false;
};

}  // namespace flowd::bpf
